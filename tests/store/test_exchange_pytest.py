"""pytest-benchmark's JSON: read into sessions, written back, and refused where it is wrong."""

import copy
import json
import random
import subprocess
import sys

import pytest
from command import outer_environment
from exchanged import RUN
from test_exchange_jsonl import change_one, dump

from linbench.core.errors import UsageError
from linbench.store.exchange import importing
from linbench.store.exchange.export import write_run
from linbench.store.exchange.pytest_benchmark import document
from linbench.store.sessions import Sessions

TESTS = """
import pytest
@pytest.mark.parametrize("n", [10, 20])
def test_sum(benchmark, n):
    benchmark.extra_info["kind"] = "sum"
    benchmark.pedantic(sum, (range(n),), rounds=7, iterations=2)
"""


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """The file that pytest-benchmark itself wrote."""
    folder = tmp_path_factory.mktemp("real")
    (folder / "test_real.py").write_text(TESTS)
    words = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "--benchmark-json=real.json", "test_real.py"]
    command = [sys.executable, *words]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, env=outer_environment())
    return folder / "real.json"


def rounded(data):
    """Return a document with what each round took as float32 has it, less what linbench does not keep."""
    data = {name: data[name] for name in ("machine_info", "commit_info", "benchmarks", "datetime", "version")}
    for found in data["benchmarks"]:
        found["stats"]["data"] = pytest.approx(found["stats"]["data"], rel=1e-7)
    return data


def test_a_real_file_comes_back_the_same(real, tmp_path):
    db = str(tmp_path / "x.db")
    session = importing.read(real)
    assert importing.add(session, db)
    found = Sessions(db).session(session.id)
    assert document(found) == rounded(json.loads(real.read_text()))
    assert found.imported_from == "real.json"
    assert found.benchmarks[0].options["timer"] == "perf_counter"
    assert found.benchmarks[0].stats["iterations"] == 2
    assert len(found.benchmarks[0].samples_s) == 7
    assert [(summary.id, summary.benchmarks) for summary in Sessions(db).summaries()] == [(session.id, 2)]


def test_the_same_twice_is_no_change(real, tmp_path):
    db = tmp_path / "x.db"
    importing.add(importing.read(real), str(db))
    before = dump(db)
    assert not importing.add(importing.read(real), str(db))
    assert dump(db) == before


def test_without_data_there_are_no_samples(real, tmp_path):
    data = json.loads(real.read_text())
    for found in data["benchmarks"]:
        del found["stats"]["data"]
    path = tmp_path / "x.json"
    path.write_text(json.dumps(data))
    session = importing.read(path)
    importing.add(session, str(tmp_path / "x.db"))
    found = Sessions(str(tmp_path / "x.db")).session(session.id)
    assert found.benchmarks[0].samples_s == ()
    assert "data" not in document(found)["benchmarks"][0]["stats"]


def test_what_we_export_pytest_benchmark_reads_and_we_read(tmp_path):
    path = tmp_path / "x.json"
    write_run(RUN, "pytest-benchmark", path)
    words = ["-m", "pytest_benchmark", "compare", str(path)]
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "linear/chunk[B1 T64" in done.stdout
    assert len(importing.read(path).benchmarks) == sum(bool(row.time) for row in RUN.measurements)


WRONG = {
    "version": (
        lambda data: data.update(version="9.0.0"),
        "version: is of pytest-benchmark '9.0.0'; known",
    ),
    "no version": (lambda data: data.pop("version"), "version: is of pytest-benchmark None"),
    "moment": (lambda data: data.update(datetime="2026-99-99T00:00"), "datetime: .* is no moment"),
    "median": (lambda data: data["benchmarks"][1]["stats"].update(median=None), "benchmarks.1.stats.median"),
    "negative": (lambda data: data["benchmarks"][1]["stats"].update(min=-1.0), "benchmarks.1.stats.min"),
    "data": (lambda data: data["benchmarks"][1]["stats"]["data"].append("x"), "benchmarks.1.stats.data.7"),
    "rounds": (lambda data: data["benchmarks"][1]["stats"]["data"].pop(), "benchmarks.1.stats: data has 6"),
    "name": (lambda data: data["benchmarks"][1].update(name=7), "benchmarks.1.name"),
    "other": (lambda data: data.pop("benchmarks"), "is neither linbench JSON lines"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_refused_with_its_field(real, tmp_path, name):
    change, said = WRONG[name]
    data = json.loads(real.read_text())
    change(data)
    path = tmp_path / "x.json"
    path.write_text(json.dumps(data, indent=1))
    with pytest.raises(UsageError, match=said) as caught:
        importing.read(path)
    assert str(path) in str(caught.value)


def test_a_number_that_is_none_is_refused_with_its_line(real, tmp_path):
    path = tmp_path / "x.json"
    path.write_text(real.read_text().replace('"rounds": 7', '"rounds": NaN', 1))
    with pytest.raises(UsageError, match="NaN is no number"):
        importing.read(path)
    path.write_text(real.read_text().replace('"rounds": 7', '"rounds": ,', 1))
    line = real.read_text()[: real.read_text().index('"rounds": 7')].count("\n") + 1
    with pytest.raises(UsageError, match=f"line {line}: not JSON"):
        importing.read(path)


def test_mutated_files_are_refused_in_one_line_or_read_whole(real, tmp_path):
    """300 mutations: no other error, and what is refused leaves the store as it was."""
    db = tmp_path / "x.db"
    importing.add(importing.read(real), str(db))
    original = json.loads(real.read_text())
    taken = {"refused": 0, "read": 0}
    for seed in range(300):
        chance = random.Random(seed)
        data = copy.deepcopy(original)
        for _ in range(chance.randint(1, 3)):
            change_one(data, chance)
        path = tmp_path / "mutant.json"
        path.write_text(json.dumps(data))
        refused, before = None, dump(db)
        try:
            importing.add(importing.read(path), str(db))
        except UsageError as error:
            refused = str(error)
        taken["read" if refused is None else "refused"] += 1
        if refused is not None:
            assert "\n" not in refused, seed
            assert dump(db) == before, seed
    assert min(taken.values()) > 20, taken
    assert all(Sessions(str(db)).session(found.id) for found in Sessions(str(db)).summaries())
