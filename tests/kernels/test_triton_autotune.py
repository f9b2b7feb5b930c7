"""The choice of tiles by timing, with a simulated clock."""

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
    max_shared_bytes,
    tiles,
)

bfloat16, float32 = torch.bfloat16, torch.float32
DEFAULT = tiles(64, 64, bfloat16, hopper=True)
Q = torch.zeros(1, 8, 1, 64, dtype=bfloat16)


class Machine:
    """Simulates calls whose durations depend on their tiles, with a clock that only they advance."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.calls: list[Tiles] = []
        self.durations_s: dict[Tiles, float] = {}
        self.too_large: set[Tiles] = set()

    def run(self, plan: Plan) -> None:
        self.calls.append(plan.values)
        if plan.values in self.too_large:
            raise triton.OutOfResources(300_000, 232_448, "shared memory")
        self.now_s += self.durations_s.get(plan.values, 1.0)

    def seconds_of(self, call: Callable[[], object]) -> float:
        before_s = self.now_s
        call()
        return self.now_s - before_s


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    """Turns tuning on without earlier choices, and times calls on a simulated machine."""
    machine = Machine()
    monkeypatch.setenv(autotune.SWITCH, "1")
    monkeypatch.setattr(autotune, "_choices", {})
    monkeypatch.setattr(autotune, "seconds_of", machine.seconds_of)
    return machine


def plan(T: int = 8) -> Plan:
    return Plan(1, 64, 64, Segments(T, 1, None, 1, 64, 1), DEFAULT, DEFAULT, bfloat16)


def tune(machine: Machine, untuned: Plan | None = None, q: Tensor = Q) -> Plan:
    return autotune.tune(untuned or plan(), "attention forward", "values", q, machine.run)


def test_without_tuning_nothing_is_timed_or_chosen(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(autotune.SWITCH)
    assert tune(machine) == plan()
    assert machine.calls == []
    assert autotune.choices() == {}


def test_the_fastest_tiles_are_chosen_and_stored(machine: Machine) -> None:
    tiles_to_time = candidates(DEFAULT, 64, 2, 227 * 1024)
    fastest = tiles_to_time[2]
    machine.durations_s = {fastest: 0.25}
    assert tune(machine) == plan()._replace(values=fastest)
    assert machine.calls == [*tiles_to_time] * (1 + autotune.ROUNDS), (
        "in turns, after one call each to compile"
    )
    shape = autotune.Shape("attention forward values", 1, 8, 1, 64, 64, 1, bfloat16, "cpu")
    seconds = {tile: 0.25 if tile == fastest else 1.0 for tile in tiles_to_time}
    assert autotune.choices() == {shape: autotune.Choice(fastest, seconds)}

    machine.calls.clear()
    machine.durations_s = {}
    assert tune(machine).values == fastest
    assert machine.calls == []
    assert tune(machine, plan(T=16)).values == DEFAULT, "another shape is timed separately"
    assert len(autotune.choices()) == 2


def test_ties_select_the_untuned_tiles(machine: Machine) -> None:
    assert tune(machine) == plan()


def test_one_slow_call_and_the_compile_time_do_not_count(machine: Machine) -> None:
    fastest = candidates(DEFAULT, 64, 2, 227 * 1024)[1]
    calls = 0

    def run(timed_plan: Plan) -> None:
        nonlocal calls
        machine.durations_s[fastest] = 9.0 if calls < 15 else 0.5
        calls += 1
        machine.run(timed_plan)

    tuned = autotune.tune(plan(), "attention forward", "values", Q, run)
    assert tuned.values == fastest


def test_tiles_that_exceed_the_resources_of_the_device_are_skipped(machine: Machine) -> None:
    tiles_to_time = candidates(DEFAULT, 64, 2, 227 * 1024)
    machine.too_large = {tiles_to_time[1]}
    machine.durations_s = {tiles_to_time[1]: 0.1, tiles_to_time[3]: 0.5}
    assert tune(machine).values == tiles_to_time[3]
    machine.too_large = {DEFAULT}
    with pytest.raises(triton.OutOfResources):
        tune(machine, plan(T=16))


@pytest.mark.parametrize("shared_bytes", [99 * 1024, 163 * 1024, 227 * 1024])
@pytest.mark.parametrize("dtype", [bfloat16, float32])
@pytest.mark.parametrize(("inner", "outer"), [(16, 16), (64, 64), (128, 128), (256, 80)])
def test_candidates_are_few_differ_in_one_field_and_are_bounded_in_shared_memory(
    inner: int, outer: int, dtype: torch.dtype, shared_bytes: int
) -> None:
    default = tiles(inner, outer, dtype, hopper=shared_bytes > 200 * 1024)
    first, *neighbours = candidates(default, outer, dtype.itemsize, shared_bytes)
    assert first == default
    assert 1 <= len(neighbours) == len(set(neighbours)) <= 7
    for tile in neighbours:
        assert sum(x != y for x, y in zip(tile, default, strict=True)) == 1
        assert max_shared_bytes(tile, dtype.itemsize) <= shared_bytes
        assert 16 <= tile.chunk <= 64
        assert 16 <= tile.outer <= triton.next_power_of_2(outer)
        assert tile.num_stages >= 1


def test_less_shared_memory_leaves_fewer_candidates() -> None:
    default = tiles(128, 128, bfloat16, hopper=True)
    few, many = (candidates(default, 128, 2, limit) for limit in (99 * 1024, 227 * 1024))
    assert len(few) < len(many)
