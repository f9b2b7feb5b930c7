"""Each detector reports side effects and accepts calls without them."""

import os
import threading
import time

import pytest
import torch

from linbench import Case
from linbench.core.implementation import Implementation
from linbench.core.registry import registry
from linbench.measure.call import Call, InputsInLayout
from linbench.measure.hygiene import (
    LEAK_CALLS,
    aliased_input,
    copy_result,
    leak,
    restore_settings,
    same_bits,
    settings,
)
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
def test_a_changed_setting_is_named_and_restored(name):
    before = settings()
    CHANGES[name]()
    assert restore_settings(before) == [name]
    assert settings() == before


def test_a_setting_that_the_call_restored_is_not_reported():
    before = settings()
    with torch.no_grad(), torch.device("meta"):
        torch.ones(2)
    assert restore_settings(before) == []


def test_every_setting_has_a_test():
    assert set(CHANGES) == set(settings())


def test_a_copy_does_not_have_later_changes():
    output = torch.zeros(4)

    def finish():
        time.sleep(0.05)
        output.fill_(1)

    thread = threading.Thread(target=finish)
    thread.start()
    copy = copy_result((output, [output, None]))
    thread.join()
    assert output.sum() == 4
    assert copy[0].sum() == copy[1][0].sum() == 0
    assert copy[1][1] is None


def test_a_nested_result_that_aliases_an_input_is_detected():
    inputs = {"q": torch.randn(4, 4), "k": torch.randn(4, 4)}
    q, k = inputs.values()
    assert aliased_input(k[1:].T, inputs) == "k"
    assert aliased_input((torch.randn(2), (q.detach(),)), inputs) == "q"
    assert aliased_input((q + 0, k.clone(), None, q[:0]), inputs) is None


class Calls:
    """A stand-in for calls that leave bytes allocated according to a list."""

    def __init__(self, *left_bytes):
        self.left_bytes = list(left_bytes)
        self.count = 0

    def __call__(self):
        self.count += 1
        return self.left_bytes[min(self.count, len(self.left_bytes)) - 1]


def test_growth_at_every_call_is_a_leak():
    calls = Calls(9000, 8192)
    assert leak(9000, calls) == 8192
    assert calls.count == LEAK_CALLS - 1


def test_a_call_that_leaves_nothing_is_not_repeated():
    calls = Calls(9000)
    assert leak(0, calls) == 0
    assert calls.count == 0


def test_a_cache_filled_in_the_first_calls_is_not_a_leak():
    calls = Calls(9000, 9000, 0)
    assert leak(9000, calls) == 0
    assert calls.count == 3


def left_bytes(function):
    """Return the bytes that a call of this function leaves allocated."""
    operator, case = registry.operator("linear"), Case(1, 2, 1, 2, 2)
    implementation = Implementation("linear/x", "linear", "BTHD", {"fwd": lambda *_: function()})
    return measure_memory(Call(operator, implementation, case, InputsInLayout(operator, case)))[1]


def test_the_memory_that_a_call_leaves_allocated_is_measured():
    leaked, cache = [], {}

    def leaks():
        leaked.append(torch.empty(4096))
        return leaked[-1]

    def caches():
        cache.setdefault("workspace", torch.empty(4096))
        return torch.empty(4096)

    assert left_bytes(leaks) == left_bytes(leaks) == 4096 * 4
    left_bytes(caches)
    assert left_bytes(caches) == 0


def test_a_cache_that_is_replaced_at_every_call_is_not_a_leak():
    cache = {}

    def replaces():
        cache["last"] = torch.empty(4096)
        return cache["last"]

    left_bytes(replaces)
    assert left_bytes(replaces) == 0


def test_same_bits_compares_bits_and_not_values():
    nan, zero = torch.tensor([torch.nan, 1.0]), torch.zeros(2)
    assert same_bits((nan, [zero, None]), (nan.clone(), [zero.clone(), None]))
    assert not same_bits(zero, -zero)
    assert not same_bits(zero, torch.zeros(2, dtype=torch.float64))
    assert not same_bits((zero,), (zero, zero))
    assert not same_bits(torch.zeros(1, 2), zero)
    assert same_bits(torch.ones(4, 3).T, torch.ones(3, 4))
