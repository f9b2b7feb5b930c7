"""An implementation that allocates memory without end; a plugin for tests."""

import time

import torch

from linbench import implementation
from linbench.core.registry import registry

STEP_ELEMENTS = 2**24  # 64 MiB of float32


@implementation("linear", "hungry")
def hungry(q, k, v):
    del q, k, v
    blocks = []
    while True:
        blocks.append(torch.ones(STEP_ELEMENTS))
        time.sleep(0.02)


@implementation("linear", "sated")
def sated(q, k, v):
    return registry.implementation("linear/naive")(q, k, v)
