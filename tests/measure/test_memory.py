"""Memory against allocations whose size is known."""

import pytest
import torch

from linbench.measure import memory
from linbench.measure.memory import weigh

MIB = 2**20


def allocate(mebibytes):
    return torch.ones(mebibytes * MIB // 4)


def peak_of_three():
    one = allocate(8)
    two = one + 1
    del one
    return two, allocate(16)


@pytest.mark.parametrize(
    ("meter", "call_s", "call", "mebibytes"),
    [("allocator", 0.1, peak_of_three, 24), ("rss", 10.0, lambda: allocate(96), 96)],
)
def test_the_peak_of_a_known_allocation(meter, call_s, call, mebibytes):
    found, _ = weigh(call, "cpu", 1000, call_s)
    assert found.meter == meter
    assert found.extra_bytes == pytest.approx(mebibytes * MIB, rel=0.05)
    assert found.peak_bytes == found.extra_bytes + 1000


def test_what_is_released_is_not_counted_twice():
    def twice():
        allocate(8)
        return allocate(8)

    found, _ = weigh(twice, "cpu", 0, 0.1)
    assert found.extra_bytes == pytest.approx(8 * MIB, rel=0.05)


def test_the_allocator_is_exact():
    assert weigh(lambda: torch.empty(12345, dtype=torch.uint8), "cpu", 0, 0.0)[0].extra_bytes == 12345
    assert memory.LONG_CALL_S == 2.0
