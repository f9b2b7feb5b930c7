"""Implementations that each do one thing that none should; a plugin for tests."""

import ctypes
import os
import subprocess
import sys
import threading
import time

import torch
import torch.nn.functional as F

from linbench import implementation


def right(q, k, v):
    q, k = (F.elu(x.transpose(1, 2)) + 1 for x in (q, k))
    scores = (q @ k.transpose(-1, -2)).tril()
    return ((scores / (scores.sum(-1, keepdim=True) + 1e-6)) @ v.transpose(1, 2)).transpose(1, 2)


@implementation("linear", "segfaults")
def segfaults(q, k, v):
    ctypes.string_at(0)


@implementation("linear", "hangs")
def hangs(q, k, v):
    while True:
        time.sleep(60)


@implementation("linear", "zeros")
def zeros(q, k, v):
    return torch.zeros_like(v)


@implementation("linear", "nan")
def nan(q, k, v):
    return torch.full_like(v, torch.nan)


@implementation("linear", "raises")
def raises(q, k, v):
    raise KeyError("a line\nand another")


@implementation("linear", "exits")
def exits(q, k, v):
    sys.exit(0)


@implementation("linear", "dies")
def dies(q, k, v):
    os._exit(7)


@implementation("linear", "eats")
def eats(q, k, v):
    held = []
    while True:
        held.append(bytearray(os.urandom(1) * 2**26))


@implementation("linear", "asks-too-much")
def asks_too_much(q, k, v):
    return torch.empty(2**45)


@implementation("linear", "prints")
def prints(q, k, v):
    print('{"status": "ok"}', flush=True)
    os.write(2, b"noise\n")
    return right(q, k, v)


@implementation("linear", "mutates")
def mutates(q, k, v):
    out = right(q, k, v)
    k.mul_(2)
    return out


@implementation("linear", "half-shape")
def half_shape(q, k, v):
    return v[:, ::2]


@implementation("linear", "nothing")
def nothing(q, k, v):
    return None


@implementation("linear", "mask")
def wrong_mask(q, k, v):
    return right(q.flip(1), k.flip(1), v.flip(1)).flip(1)


CALLS = {"n": 0}


@implementation("linear", "tires")
def tires(q, k, v):
    """Right in the check, wrong once it is timed."""
    CALLS["n"] += 1
    return right(q, k, v) if CALLS["n"] < 12 else torch.zeros_like(v)


@implementation("linear", "refuses")
def refuses(q, k, v):
    raise NotImplementedError("not on a Sunday")


@implementation("linear", "good")
def good(q, k, v):
    return right(q, k, v)


@implementation("linear", "leaves-a-thread")
def leaves_a_thread(q, k, v):
    threading.Thread(target=time.sleep, args=(3600,)).start()
    return right(q, k, v)


@implementation("linear", "garbage")
def garbage(q, k, v):
    os.write(int(sys.argv[2]), b"not json at all\n")
    return right(q, k, v)


@implementation("linear", "leaves-a-child")
def leaves_a_child(q, k, v):
    subprocess.Popen(["sleep", "987654"])
    return right(q, k, v)
