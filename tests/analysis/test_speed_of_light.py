from dataclasses import replace

import pandas as pd
import pytest
from synthetic import CEILINGS, ENVIRONMENT, row, run_of, table

from linbench.analysis import speed_of_light
from linbench.core.measurement import Status
from linbench.core.work import Work
from linbench.store.table import frame

WORK = Work(1e9, 4e9, 2**20)
MEASURED = replace(ENVIRONMENT, ceilings=CEILINGS)


def rows():
    return [
        replace(row("a/computes", 0.04, spread=0.1), work=WORK),
        replace(row("a/undeclared", 0.02), work=Work(1e9, None, 2**20)),
        replace(row("a/moves", 0.25), work=Work(1.0, None, 10**9 + 10**6)),
    ]


def test_the_share_is_the_bound_over_the_time():
    found = frame([run_of(rows(), environment=MEASURED)])
    assert list(found["limit"]) == ["compute", "compute", "memory"]
    assert list(found["bound_s"]) == pytest.approx([1e9 / 5e10, 0.02, 10**6 / 1e11 + 10**9 / 1e10])
    assert list(found["share"]) == pytest.approx([0.5, 1.0, 0.40004])


def test_its_interval_is_that_of_the_time_turned_over():
    found = speed_of_light(frame([run_of(rows(), environment=MEASURED)])).iloc[0]
    assert found["share_low"] == pytest.approx(0.5 / 1.1)
    assert found["share_high"] == pytest.approx(0.5 / 0.9)


def test_useful_and_algorithmic_rates_are_apart():
    found = speed_of_light(table(rows()))
    assert list(found["useful_flops_per_s"]) == pytest.approx([2.5e10, 5e10, 4.0])
    assert found["algorithmic_flops_per_s"].iloc[0] == pytest.approx(1e11)
    assert found["algorithmic_flops_per_s"].iloc[1:].isna().all()
    assert found["bytes_per_s"].iloc[0] == pytest.approx(2**20 / 0.04)


def test_without_ceilings_there_are_rates_and_no_share():
    found = table(rows())
    assert found[["bound_s", "share"]].isna().all().all()
    assert found["limit"].isna().all()
    assert speed_of_light(found)[["share_low", "share_high"]].isna().all().all()


def test_only_what_was_timed_and_carries_its_work_has_rates_and_the_index_is_kept():
    found = table(
        [row("a/x", status=Status.OOM), row("a/old"), *rows()[:1], replace(row("a/x", 0.0), work=WORK)]
    )
    assert list(speed_of_light(found).index) == [2]
    joined = found.join(speed_of_light(found))
    assert pd.isna(joined["bytes_per_s"].iloc[1])
    assert speed_of_light(table([])).empty
