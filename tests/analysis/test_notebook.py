"""The blocks of docs/guides/analyse-in-a-notebook.md run; every function and every column is documented."""

import inspect
import re
from pathlib import Path

import pandas as pd
import pytest

from linbench import analysis
from linbench.core.measurement import Status
from linbench.store.table import COLUMNS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "guides" / "analyse-in-a-notebook.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def test_the_blocks_run_on_a_real_store(stored, monkeypatch, capsys):
    monkeypatch.chdir(stored.folder)
    found = {}
    for block in BLOCKS:
        exec(compile(block, "docs/guides/analyse-in-a-notebook.md", "exec"), found)
    assert len(BLOCKS) == 6
    assert len(found["frame"]) == 24
    assert [panel.settings["K/V"] for panel in found["panels"]] == ["8", "16"]
    assert set(found["capacity"]["implementation"]) == {"linear/chunk", "linear/naive", "softmax/flash"}
    assert len(found["means"].points) == 6
    assert set(found["means"].speedups) == {"linear/chunk", "linear/naive", "softmax/flash"}
    assert 1 <= len(found["front"]) <= 3
    assert (found["rates"][["share_low", "share_high", "bytes_per_s"]] > 0).all().all()
    assert len(found["rates"]) == (found["frame"]["status"] == Status.OK).sum() == 18
    assert (found["waiting"]["busy_cores"] > 0).all()
    ok = found["frame"][found["frame"]["status"] == Status.OK]
    linear = ok[ok["operator"] == "linear"]
    assert len(linear) == 12
    assert (linear["algorithmic_flops"] >= linear["useful_flops"]).all()
    assert (ok["fewest_bytes"] > 0).all()
    assert found["frame"].loc[found["frame"]["status"] != Status.OK, "useful_flops"].isna().all()
    assert set(found["faster"]) == {32, 64, 128}
    times = found["panel"].series
    chunk = times["linear/chunk"]
    assert found["faster"][64] == analysis.speedup(chunk[64], times["softmax/flash"][64])
    assert found["growth"].value == pytest.approx(chunk[128].value / chunk[32].value)
    assert found["claim"] == 1.0
    assert {found["pair"].first, found["pair"].second} < set(times)
    assert isinstance(found["crossovers"], pd.DataFrame)
    assert isinstance(found["scaling"], pd.DataFrame)
    said = capsys.readouterr().out
    assert "T {'mode': 'fwd'" in said
    assert re.search(r"linear/chunk: [\d.]+ \[[\d.]+, .*\] over 6 points", said)


def test_every_public_function_has_an_example():
    functions = {name for name in analysis.__all__ if inspect.isfunction(getattr(analysis, name))}
    shown = set(re.findall(r"\banalysis\.(\w+)", "".join(BLOCKS)))
    assert functions <= shown


def test_every_column_is_in_the_table():
    page = (ROOT / "docs" / "reference" / "formats.md").read_text(encoding="utf-8")
    table = page.partition("## Columns")[2].partition("## ")[0]
    named = [name for line in table.splitlines() if line.startswith("| `") for name in
             re.findall(r"`(\w+)`", line.split("|")[1])]  # fmt: skip
    assert sorted(named) == sorted(COLUMNS)
