"""Faulty implementations, and a correct one that they must not affect; a plugin for tests."""

import os
import time

import torch

from linbench import implementation
from linbench.core.registry import registry


def correct(q, k, v):
    return registry.implementation("linear/naive")(q, k, v)


@implementation("linear", "a-mutates-and-raises")
def mutates_and_raises(q, k, v):
    k.detach().mul_(2)
    raise ValueError("late")


class GradientDoubler(torch.autograd.Function):
    """Returns a copy of its input, and doubles the incoming gradient in place."""

    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        return gradient.mul_(2)


@implementation("linear", "b-doubles-the-gradient")
def doubles_the_gradient(q, k, v):
    return GradientDoubler.apply(correct(q, k, v))


@implementation("linear", "c-cannot-be-encoded")
def cannot_be_encoded(q, k, v):
    raise ValueError("bad \udcff and \0")


@implementation("linear", "d-bad-extra-bytes", extra_bytes=lambda case: 1 / 0)
def bad_extra_bytes(q, k, v):
    return correct(q, k, v)


@implementation("linear", "e-bad-unsupported-reason", unsupported_reason=lambda case: 1 / 0)
def bad_unsupported_reason(q, k, v):
    return correct(q, k, v)


@implementation("linear", "f-dies-and-leaves-a-child")
def dies_and_leaves_a_child(q, k, v):
    if os.fork() == 0:
        time.sleep(600)
    os._exit(7)


@implementation("linear", "z-correct")
def z_correct(q, k, v):
    return correct(q, k, v)
