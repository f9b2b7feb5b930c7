"""Implementations that harm the next one, and neighbours that must not be harmed; a plugin for tests."""

import os
import time

import torch

from linbench import implementation
from linbench.core.registry import registry


def right(q, k, v):
    return registry.implementation("linear/naive")(q, k, v)


@implementation("linear", "a-mutates-and-raises")
def mutates_and_raises(q, k, v):
    k.detach().mul_(2)
    raise ValueError("late")


class Greedy(torch.autograd.Function):
    """Returns its input, and doubles the gradient that it is given, in place."""

    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        return gradient.mul_(2)


@implementation("linear", "b-eats-the-gradient")
def eats_the_gradient(q, k, v):
    return Greedy.apply(right(q, k, v))


@implementation("linear", "c-cannot-be-encoded")
def cannot_be_encoded(q, k, v):
    raise ValueError("bad \udcff and \0")


@implementation("linear", "d-bad-extra-bytes", extra_bytes=lambda case: 1 / 0)
def bad_extra_bytes(q, k, v):
    return right(q, k, v)


@implementation("linear", "e-bad-why-not", unsupported_reason=lambda case: 1 / 0)
def bad_why_not(q, k, v):
    return right(q, k, v)


@implementation("linear", "f-dies-and-leaves-a-child")
def dies_and_leaves_a_child(q, k, v):
    if os.fork() == 0:
        time.sleep(600)
    os._exit(7)


@implementation("linear", "z-innocent")
def innocent(q, k, v):
    return right(q, k, v)
