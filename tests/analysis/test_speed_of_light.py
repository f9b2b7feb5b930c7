from dataclasses import replace

import pandas as pd
import pytest
from synthetic import CEILINGS, ENVIRONMENT, row, run_of, table

from linbench.analysis import speed_of_light
from linbench.core.measurement import Status
from linbench.core.work import Work
from linbench.store.table import frame

WORK = Work(1e9, 4e9, 2**20)
WITH_CEILINGS = replace(ENVIRONMENT, ceilings=CEILINGS)


def rows():
    return [
        replace(row("a/computes", 0.04, spread=0.1), work=WORK),
        replace(row("a/undeclared", 0.02), work=Work(1e9, None, 2**20)),
        replace(row("a/moves", 0.25), work=Work(1.0, None, 10**9 + 10**6)),
    ]


def test_the_share_is_the_bound_over_the_time():
    result = frame([run_of(rows(), environment=WITH_CEILINGS)])
    assert list(result["limit"]) == ["compute", "compute", "memory"]
    assert list(result["bound_s"]) == pytest.approx([1e9 / 5e10, 0.02, 10**6 / 1e11 + 10**9 / 1e10])
    assert list(result["share"]) == pytest.approx([0.5, 1.0, 0.40004])


def test_its_interval_is_the_bound_over_that_of_the_time():
    result = speed_of_light(frame([run_of(rows(), environment=WITH_CEILINGS)])).iloc[0]
    assert result["share_low"] == pytest.approx(0.5 / 1.1)
    assert result["share_high"] == pytest.approx(0.5 / 0.9)


def test_useful_and_algorithmic_rates_are_separate():
    result = speed_of_light(table(rows()))
    assert list(result["useful_flops_per_s"]) == pytest.approx([2.5e10, 5e10, 4.0])
    assert result["algorithmic_flops_per_s"].iloc[0] == pytest.approx(1e11)
    assert result["algorithmic_flops_per_s"].iloc[1:].isna().all()
    assert result["bytes_per_s"].iloc[0] == pytest.approx(2**20 / 0.04)


def test_without_ceilings_there_are_rates_and_no_share():
    result = table(rows())
    assert result[["bound_s", "share"]].isna().all().all()
    assert result["limit"].isna().all()
    assert speed_of_light(result)[["share_low", "share_high"]].isna().all().all()


def test_only_timed_rows_with_work_have_rates_and_the_index_is_preserved():
    result = table(
        [row("a/x", status=Status.OOM), row("a/old"), *rows()[:1], replace(row("a/x", 0.0), work=WORK)]
    )
    assert list(speed_of_light(result).index) == [2]
    with_rates = result.join(speed_of_light(result))
    assert pd.isna(with_rates["bytes_per_s"].iloc[1])
    assert speed_of_light(table([])).empty
