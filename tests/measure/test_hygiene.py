"""Each detector sees the guilty and leaves the innocent alone."""

import os
import threading
import time

import pytest
import torch

from linbench import Case
from linbench.core.implementation import Implementation
from linbench.core.registry import registry
from linbench.measure.call import Call, InputsInLayout
from linbench.measure.hygiene import LEAK_CALLS, copied, leak, put_back, same_bits, settings, shared
from linbench.measure.memory import measure_memory

registry.load()

CHANGES = {
    "clocks": lambda: setattr(time, "perf_counter", lambda: 0.0),
    "working directory": lambda: os.chdir("/"),
    "default dtype": lambda: torch.set_default_dtype(torch.float64),
    "default device": lambda: torch.set_default_device("meta"),
    "number of threads": lambda: torch.set_num_threads(torch.get_num_threads() + 1),
    "grad mode": lambda: torch.set_grad_enabled(False),
    "deterministic algorithms": lambda: torch.use_deterministic_algorithms(True, warn_only=True),
    "float32 matmul precision": lambda: torch.set_float32_matmul_precision("medium"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_setting_that_was_changed_is_named_and_put_back(name):
    before = settings()
    CHANGES[name]()
    assert put_back(before) == [name]
    assert settings() == before


def test_a_setting_that_was_put_back_is_no_offence():
    before = settings()
    with torch.no_grad(), torch.device("meta"):
        torch.ones(2)
    assert put_back(before) == []


def test_every_setting_is_tried_here():
    assert set(CHANGES) == set(settings())


def test_a_copy_is_what_stood_when_it_was_made():
    out = torch.zeros(4)

    def finish():
        time.sleep(0.05)
        out.fill_(1)

    thread = threading.Thread(target=finish)
    thread.start()
    kept = copied((out, [out, None]))
    thread.join()
    assert out.sum() == 4
    assert kept[0].sum() == kept[1][0].sum() == 0
    assert kept[1][1] is None


def test_memory_of_an_input_is_known_again_however_deep_it_lies():
    given = {"q": torch.randn(4, 4), "k": torch.randn(4, 4)}
    q, k = given.values()
    assert shared(k[1:].T, given) == "k"
    assert shared((torch.randn(2), (q.detach(),)), given) == "q"
    assert shared((q + 0, k.clone(), None, q[:0]), given) is None


class Calls:
    """Makes calls that each leave what a list says."""

    def __init__(self, *kept):
        self.kept = list(kept)
        self.made = 0

    def __call__(self):
        self.made += 1
        return self.kept[min(self.made, len(self.kept)) - 1]


def test_what_grows_at_every_call_is_a_leak():
    calls = Calls(9000, 8192)
    assert leak(9000, calls) == 8192
    assert calls.made == LEAK_CALLS - 1


def test_nothing_kept_asks_for_no_further_call():
    calls = Calls(9000)
    assert leak(0, calls) == 0
    assert calls.made == 0


def test_a_cache_filled_in_the_first_calls_is_no_leak():
    calls = Calls(9000, 9000, 0)
    assert leak(9000, calls) == 0
    assert calls.made == 3


def kept_by(function):
    """Return the bytes that a call of this function leaves allocated."""
    operator, case = registry.operator("linear"), Case(1, 2, 1, 2, 2)
    implementation = Implementation("linear/x", "linear", "BTHD", {"fwd": lambda *_: function()})
    return measure_memory(Call(operator, implementation, case, InputsInLayout(operator, case)))[1]


def test_the_memory_that_a_call_leaves_is_weighed():
    held, cache = [], {}

    def leaks():
        held.append(torch.empty(4096))
        return held[-1]

    def caches():
        cache.setdefault("workspace", torch.empty(4096))
        return torch.empty(4096)

    assert kept_by(leaks) == kept_by(leaks) == 4096 * 4
    kept_by(caches)
    assert kept_by(caches) == 0


def test_a_cache_that_is_replaced_at_every_call_is_no_leak():
    cache = {}

    def replaces():
        cache["last"] = torch.empty(4096)
        return cache["last"]

    kept_by(replaces)
    assert kept_by(replaces) == 0


def test_bits_are_compared_and_not_values():
    nan, zero = torch.tensor([torch.nan, 1.0]), torch.zeros(2)
    assert same_bits((nan, [zero, None]), (nan.clone(), [zero.clone(), None]))
    assert not same_bits(zero, -zero)
    assert not same_bits(zero, torch.zeros(2, dtype=torch.float64))
    assert not same_bits((zero,), (zero, zero))
    assert not same_bits(torch.zeros(1, 2), zero)
    assert same_bits(torch.ones(4, 3).T, torch.ones(3, 4))
