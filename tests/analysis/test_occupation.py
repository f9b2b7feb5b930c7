from dataclasses import replace

import pytest
from synthetic import row, table

from linbench.analysis import occupation
from linbench.core.measurement import Status


def timed_row(name, median_s, **parts):
    measurement = row(name, median_s, device=parts.pop("device", "cpu"))
    return replace(measurement, time=replace(measurement.time, **parts))


def test_gaps_are_the_share_of_the_time_without_kernels():
    result = occupation(
        table(
            [
                timed_row("a/waits", 1e-3, kernels_median_s=3.8e-4, device="cuda"),
                timed_row("a/overlaps", 1e-3, kernels_median_s=1.2e-3, device="cuda"),
                timed_row(
                    "a/unrecorded", 1e-3, device="cuda", cpu_median_s=1e-3
                ),  # processor time of the host, which only launches
            ]
        )
    )
    assert list(result["gaps"][:2]) == pytest.approx([0.62, 0.0])
    assert result["gaps"].isna().tolist() == [False, False, True]
    assert result["busy_cores"].isna().all()


def test_busy_cores_are_processor_time_over_wall_time():
    busy = timed_row("a/x", 1e-3, cpu_median_s=1.9e-3, kernels_median_s=5e-4)
    result = occupation(table([busy, timed_row("a/y", 1e-3)]))
    assert result["busy_cores"].iloc[0] == pytest.approx(1.9)
    assert result["busy_cores"].isna().tolist() == [False, True]
    assert result["gaps"].isna().all()


def test_only_timed_rows_count():
    result = occupation(table([row("a/x", status=Status.OOM), timed_row("a/x", 1e-3), row("a/y", 0.0)]))
    assert list(result.index) == [1]
    assert occupation(table([])).empty
