"""The choice of tiles by time, on a clock of our own."""

from collections.abc import Callable, Iterator

import pytest
import torch
import triton
from torch import Tensor

from linbench_kernels.triton import autotune
from linbench_kernels.triton.launch import Plan, Segments
from linbench_kernels.triton.linear_attention_plan import (
    Tiles,
    candidates,
    most_shared_bytes,
    tiles,
)

bfloat16, float32 = torch.bfloat16, torch.float32
DEFAULT = tiles(64, 64, bfloat16, hopper=True)
Q = torch.zeros(1, 8, 1, 64, dtype=bfloat16)


class Machine:
    """Makes calls that take as long as it says for their tiles, on a clock that only they move."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.called: list[Tiles] = []
        self.durations_s: dict[Tiles, float] = {}
        self.refused: set[Tiles] = set()

    def run(self, plan: Plan) -> None:
        self.called.append(plan.values)
        if plan.values in self.refused:
            raise triton.OutOfResources(300_000, 232_448, "shared memory")
        self.now_s += self.durations_s.get(plan.values, 1.0)

    def seconds_of(self, call: Callable[[], object]) -> float:
        before_s = self.now_s
        call()
        return self.now_s - before_s


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    """A machine that is timed; tuning is on, and nothing has been chosen."""
    made = Machine()
    monkeypatch.setenv(autotune.SWITCH, "1")
    monkeypatch.setattr(autotune, "_choices", {})
    monkeypatch.setattr(autotune, "seconds_of", made.seconds_of)
    return made


def plan(T: int = 8) -> Plan:
    return Plan(1, 64, 64, Segments(T, 1, None, 1, 64, 1), DEFAULT, DEFAULT, bfloat16)


def tune(machine: Machine, given: Plan | None = None, q: Tensor = Q) -> Plan:
    return autotune.tune(given or plan(), "attention forward", "values", q, machine.run)


def test_off_nothing_is_timed_and_nothing_chosen(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(autotune.SWITCH)
    assert tune(machine) == plan()
    assert machine.called == []
    assert autotune.choices() == {}


def test_the_fastest_is_chosen_kept_and_can_be_read_back(machine: Machine) -> None:
    tried = candidates(DEFAULT, 64, 2, 227 * 1024)
    fastest = tried[2]
    machine.durations_s = {fastest: 0.25}
    assert tune(machine) == plan()._replace(values=fastest)
    assert machine.called == [*tried] * (1 + autotune.ROUNDS), "in turns, after one call each to compile"
    shape = autotune.Shape("attention forward values", 1, 8, 1, 64, 64, 1, bfloat16, "cpu")
    seconds = {tile: 0.25 if tile == fastest else 1.0 for tile in tried}
    assert autotune.choices() == {shape: autotune.Choice(fastest, seconds)}

    machine.called.clear()
    machine.durations_s = {}
    assert tune(machine).values == fastest
    assert machine.called == []
    assert tune(machine, plan(T=16)).values == DEFAULT, "another shape is timed for itself"
    assert len(autotune.choices()) == 2


def test_equals_leave_the_untuned_tiles(machine: Machine) -> None:
    assert tune(machine) == plan()


def test_one_slow_call_and_the_time_to_compile_do_not_count(machine: Machine) -> None:
    fastest = candidates(DEFAULT, 64, 2, 227 * 1024)[1]
    calls = 0

    def run(given: Plan) -> None:
        nonlocal calls
        machine.durations_s[fastest] = 9.0 if calls < 15 else 0.5
        calls += 1
        machine.run(given)

    chosen = autotune.tune(plan(), "attention forward", "values", Q, run)
    assert chosen.values == fastest


def test_tiles_that_the_device_cannot_hold_are_left_out(machine: Machine) -> None:
    tried = candidates(DEFAULT, 64, 2, 227 * 1024)
    machine.refused = {tried[1]}
    machine.durations_s = {tried[1]: 0.1, tried[3]: 0.5}
    assert tune(machine).values == tried[3]
    machine.refused = {DEFAULT}
    with pytest.raises(triton.OutOfResources):
        tune(machine, plan(T=16))


@pytest.mark.parametrize("shared_bytes", [99 * 1024, 163 * 1024, 227 * 1024])
@pytest.mark.parametrize("dtype", [bfloat16, float32])
@pytest.mark.parametrize(("inner", "outer"), [(16, 16), (64, 64), (128, 128), (256, 80)])
def test_candidates_are_few_differ_in_one_field_and_are_bounded_in_shared_memory(
    inner: int, outer: int, dtype: torch.dtype, shared_bytes: int
) -> None:
    default = tiles(inner, outer, dtype, hopper=shared_bytes > 200 * 1024)
    first, *others = candidates(default, outer, dtype.itemsize, shared_bytes)
    assert first == default
    assert 1 <= len(others) == len(set(others)) <= 7
    for tile in others:
        assert sum(x != y for x, y in zip(tile, default, strict=True)) == 1
        assert most_shared_bytes(tile, dtype.itemsize) <= shared_bytes
        assert 16 <= tile.chunk <= 64
        assert 16 <= tile.outer <= triton.next_power_of_2(outer)
        assert tile.num_stages >= 1


def test_shared_memory_leaves_candidates_out() -> None:
    default = tiles(128, 128, bfloat16, hopper=True)
    few, many = (candidates(default, 128, 2, room) for room in (99 * 1024, 227 * 1024))
    assert len(few) < len(many)
