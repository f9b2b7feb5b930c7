from dataclasses import replace

import pytest
from synthetic import row, table

from linbench.analysis import occupation
from linbench.core.measurement import Status


def timed(name, median_s, **parts):
    one = row(name, median_s, device=parts.pop("device", "cpu"))
    return replace(one, time=replace(one.time, **parts))


def test_gaps_are_what_the_kernels_leave_of_the_time():
    found = occupation(
        table(
            [
                timed("a/waits", 1e-3, kernels_median_s=3.8e-4, device="cuda"),
                timed("a/overlaps", 1e-3, kernels_median_s=1.2e-3, device="cuda"),
                timed("a/untold", 1e-3, device="cuda", cpu_median_s=1e-3),  # the host's, which only launches
            ]
        )
    )
    assert list(found["gaps"][:2]) == pytest.approx([0.62, 0.0])
    assert found["gaps"].isna().tolist() == [False, False, True]
    assert found["busy_cores"].isna().all()


def test_busy_cores_are_processor_time_over_wall_time():
    busy = timed("a/x", 1e-3, cpu_median_s=1.9e-3, kernels_median_s=5e-4)
    found = occupation(table([busy, timed("a/y", 1e-3)]))
    assert found["busy_cores"].iloc[0] == pytest.approx(1.9)
    assert found["busy_cores"].isna().tolist() == [False, True]
    assert found["gaps"].isna().all()


def test_only_timed_rows_count():
    found = occupation(table([row("a/x", status=Status.OOM), timed("a/x", 1e-3), row("a/y", 0.0)]))
    assert list(found.index) == [1]
    assert occupation(table([])).empty
