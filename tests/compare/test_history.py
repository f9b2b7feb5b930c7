"""Series of runs, and their change points."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.signal import lfilter
from scipy.stats import ttest_ind
from synthetic import BARE, BARE_PLAN, code

from linbench.compare.history import library_changes, series_of
from linbench.core.case import Case
from linbench.core.gpu import Gpu
from linbench.core.measurement import Measurement, Status, Time
from linbench.core.provenance import Code
from linbench.statistics.change_points import change_points
from linbench.store.store import HistoryPoint, Store


def at(number, dirty=False, **rest):
    """The environment of a run of code at the commit with this number; linbench is at a different commit."""
    repository = Code("mine", None, f"{number:02d}" * 20, dirty, ("linear/chunk", "linear/naive"))
    return replace(BARE, **{"harness": code(commit="f" * 40), "code": (repository,)} | rest)


def step(source, noise, before, after, size):
    values = source.normal(0, noise, before + after)
    values[before:] += math.log1p(size)
    return values


@pytest.mark.parametrize(("noise", "most"), [(0.003, 0), (0.005, 0), (0.01, 4)])
def test_independent_noise_has_no_change(noise, most):
    source = np.random.default_rng(0)
    false = sum(bool(change_points(source.normal(0, noise, 60))) for _ in range(400))
    assert false <= most


def autoregressive(source, coefficient, noise, count):
    """Return AR(1) noise with this standard deviation."""
    innovations = source.normal(0, noise * math.sqrt(1 - coefficient**2), count)
    innovations[0] = source.normal(0, noise)
    return lfilter([1], [1, -coefficient], innovations)


@pytest.mark.parametrize("coefficient", [0.0, 0.3, 0.5, 0.7])
def test_autocorrelated_noise_has_no_change(coefficient):
    source = np.random.default_rng(8)
    false = sum(bool(change_points(autoregressive(source, coefficient, 0.01, 60))) for _ in range(400))
    assert false <= 8


@pytest.mark.parametrize("coefficient", [0.3, 0.5])
def test_a_change_in_autocorrelated_noise_is_found(coefficient):
    source, detected = np.random.default_rng(10), 0
    for _ in range(50):
        values = autoregressive(source, coefficient, 0.005, 60)
        values[30:] += math.log1p(0.03)
        detected += any(abs(change.index - 30) <= 4 for change in change_points(values))
    assert detected >= 45


@pytest.mark.parametrize("size", [0.02, -0.02])
def test_a_change_of_two_percent_is_found_within_four_runs(size):
    source = np.random.default_rng(1)
    for _ in range(50):
        before = int(source.integers(15, 45))
        (change,) = change_points(step(source, 0.005, before, 60 - before, size))
        assert abs(change.index - before) <= 4
        assert change.size == pytest.approx(size, abs=0.006)
        assert change.p <= 1e-4


def test_a_change_is_detected_soon_after_it_happened():
    source = np.random.default_rng(2)
    for _ in range(20):
        values = step(source, 0.003, 40, 10, 0.02)
        detected = next(n for n in range(41, 51) if change_points(values[:n]))
        assert detected - 40 <= 8


def test_known_steps_are_found_and_no_others():
    source = np.random.default_rng(3)
    values = source.normal(0, 0.004, 90)
    values[30:] += 0.05
    values[60:] -= 0.03
    rise, fall = change_points(values)
    assert (rise.index, fall.index) == (30, 60)
    assert (rise.size, fall.size) == (pytest.approx(0.05, abs=0.005), pytest.approx(-0.03, abs=0.005))


def test_steps_below_one_percent_or_that_are_too_short_are_no_change():
    source = np.random.default_rng(4)
    assert change_points(step(source, 0.0005, 30, 30, 0.008)) == []
    assert len(change_points(step(source, 0.0005, 30, 30, 0.012))) == 1
    assert change_points(step(source, 0.0005, 30, 4, 0.05)) == []
    assert change_points([]) == change_points([1.0] * 30) == []
    (exact,) = change_points([1.0] * 10 + [1.1] * 10)
    assert (exact.index, exact.p) == (10, 0.0)


def test_the_p_value_of_a_change_is_that_of_welchs_test():
    noise = np.array([0.02, -0.02] * 15)
    weak, strong = (np.concatenate((noise, noise + size)) for size in (0.019, 0.0235))
    assert change_points(weak) == []  # p = 7e-4
    (change,) = change_points(strong)
    expected = ttest_ind(strong[: change.index], strong[change.index :], equal_var=False).pvalue
    assert change.p == pytest.approx(expected, rel=1e-6)


def test_the_least_significant_split_is_removed_first():
    values = np.random.default_rng(9).normal(0, 0.0005, 60)
    values[20:] += 0.008
    values[40:] += 0.006
    (change,) = change_points(values)
    assert change.index == 20
    assert change.size == pytest.approx(0.011, abs=0.001)


def test_a_single_outlier_is_no_change():
    values = np.random.default_rng(5).normal(0, 0.004, 60)
    values[[20, 41]] += 0.2
    assert change_points(values) == []


def point(number, ratio=0.5, environment=None, **rest):
    fields = {"implementation": "linear/chunk", "case": Case(1, 64, 2, 16, 16), "timer": "cpu"} | rest
    environment = environment or at(number)
    return HistoryPoint(f"run{number}", "", environment, median_s=2 * ratio, calibration_s=2.0, **fields)


def test_machines_timers_cases_and_implementations_have_separate_series():
    gpu, new_driver = (replace(BARE, gpus=(Gpu("H100", "", 2**36, driver),)) for driver in "12")
    cpu_b, four_cores = (
        replace(BARE, host=replace(BARE.host, **change)) for change in ({"cpu": "B"}, {"cores": 4})
    )
    on_cuda = Case(1, 64, 2, 16, 16, device="cuda")
    all_series = series_of(
        [
            point(1),
            point(2, environment=cpu_b),
            point(3, environment=four_cores),
            point(4, timer="other"),
            point(5, case=Case(1, 128, 2, 16, 16)),
            point(6, implementation="linear/naive"),
            point(7, case=on_cuda, environment=gpu),
            point(8, case=on_cuda, environment=new_driver),
            point(9, environment=gpu),
        ]
    )
    assert [[point.run for point in series.points] for series in all_series] == [
        ["run1", "run9"], *([f"run{n}"] for n in range(2, 9)),
    ]  # fmt: skip
    assert all_series[0].machine == "A, 2 cores"
    assert all_series[6].machine == "H100, driver 1"


def test_a_change_names_the_commits_around_it():
    source = np.random.default_rng(6)
    values = np.exp(step(source, 0.003, 10, 10, 0.05))
    (series,) = series_of(point(number, value) for number, value in enumerate(values))
    (change,) = series.changes
    assert series.values[3] == pytest.approx(math.log(values[3]))
    assert series.commits(change) == ("09" * 20, "10" * 20)
    for no_commit in (at(9, code=()), at(9, dirty=True)):
        points = [point(n, v, no_commit if n == 9 else None) for n, v in enumerate(values)]
        assert series_of(points)[0].commits(change) is None


def test_the_commits_are_those_of_the_implementation_s_repository():
    def two_repositories(number):
        other_code = code("linear/other", commit="e" * 40)
        return at(number, code=(other_code, *at(number).code))

    points = [point(n, 1.0 + (n >= 10), two_repositories(n)) for n in range(20)]
    (series,) = series_of(points)
    assert series.commits(series.changes[0]) == ("09" * 20, "10" * 20)
    (series,) = series_of(replace(point, implementation="linear/other") for point in points)
    assert series.commits(series.changes[0]) == ("e" * 40, "e" * 40)
    (series,) = series_of(replace(point, implementation="linear/unknown") for point in points)
    assert series.commits(series.changes[0]) is None


def test_libraries_that_changed_between_two_runs_are_named():
    before = point(1, environment=at(1, libraries={"torch": "2.6", "numpy": "2.0"}))
    after = point(2, environment=at(2, libraries={"torch": "2.7", "numpy": "2.0", "triton": "3.4"}))
    assert library_changes(before, after) == ["torch 2.6 -> 2.7", "triton none -> 3.4"]


@pytest.fixture
def db(tmp_path):
    """A store of 20 runs in which T = 256 takes 3% longer from the eleventh run on; the machine drifts."""
    path = tmp_path / "x.db"
    store = Store(str(path), write=True)
    source = np.random.default_rng(7)
    for number in range(20):
        run = store.begin(at(number, libraries={"torch": "2.6"}), BARE_PLAN)
        drift = math.exp(source.normal(0, 0.3))
        rows = []
        for T in (128, 256):
            median = 1e-3 * drift * math.exp(source.normal(0, 0.003))
            median *= 1.03 if number >= 10 and T == 256 else 1.0
            time = Time("cpu", median, median, median, (1,), calibration_median_s=2e-3 * drift)
            rows.append(Measurement("linear", "linear/chunk", Case(1, T, 2, 16, 16), Status.OK, time=time))
        rows.append(Measurement("linear", "linear/x", rows[0].case, Status.OOM, "too large"))
        store.append(run.id, rows)
        store.finish(run.id)
    return path


def test_the_command_prints_the_runs_the_change_and_the_command_to_confirm_it(linbench, db):
    run = linbench("baseline", "set", "nightly", "latest", "--db", db)[0].split()[-1]
    out, _ = linbench("history", "linear/chunk", "--T", "256", "--D", "16", "--db", db)
    assert "A, 2 cores, timer cpu: 20 runs" in out
    assert "  0.5" in out
    assert [line.split()[0] for line in out.splitlines() if line.endswith("nightly")] == [run]
    assert [line.split()[2] for line in out.splitlines() if line.startswith(f"  {run}")] == ["1919191919"]
    assert "linbench compare 090909090909 101010101010 --impl linear/chunk --B 1 --T 256 --H 2 " in out
    (series,) = lines(linbench("history", Case(1, 256, 2, 16, 16).id[:8], "--db", db, "--format", "json")[0])
    (change,) = series["changes"]
    assert change["size"] == pytest.approx(0.03, abs=0.005)
    assert change["commits"] == ["09" * 20, "10" * 20]
    assert series["runs"][-1]["baselines"] == ["nightly"]
    repository = {"name": "mine", "version": None, "commit": "19" * 20, "dirty": False}
    assert series["runs"][-1]["code"] == repository
    all_series = lines(linbench("history", "linear/chunk", "--db", db, "--format", "json")[0])
    assert [(series["case"]["T"], len(series["changes"])) for series in all_series] == [(128, 0), (256, 1)]


def lines(out):
    return [json.loads(line) for line in out.splitlines()]


def test_a_case_that_no_run_measured_is_rejected_in_one_line(linbench, db):
    for arguments in (["linear/x"], ["linear/chunk", "--T", "64"], ["ffff"], ["linear/chunk", "--seed", "1"]):
        _, err = linbench("history", *arguments, "--db", db, code=2)
        assert f"linbench: no run has times of both {arguments[0]!r}" in err
    _, err = linbench("history", "linear/chunk", "--dtype", "float31", "--db", db, code=2)
    assert "'float31' is not one of" in err


def test_baselines_are_set_moved_listed_and_removed(linbench, db):
    runs = [run.id for run in Store(str(db)).summaries()]
    linbench("baseline", "set", "main", runs[3], "--db", db)
    linbench("baseline", "set", "main", runs[5], "--db", db)
    assert lines(linbench("baseline", "list", "--db", db, "--format", "json")[0]) == [
        {"baseline": "main", "run": runs[5]}
    ]
    assert runs[5] in linbench("baseline", "list", "--db", db)[0]
    linbench("baseline", "remove", "main", "--db", db)
    assert linbench("baseline", "list", "--db", db)[0].split() == ["NAME", "RUN", "BEGAN"]
    assert "unknown baseline 'main'" in linbench("baseline", "remove", "main", "--db", db, code=2)[1]
    assert "unknown run 'x'" in linbench("baseline", "set", "main", "x", "--db", db, code=2)[1]


def test_the_name_of_a_baseline_has_1_to_64_characters(db):
    from linbench.core.errors import UsageError

    store = Store(str(db), write=True)
    for name in ("", " ", "x" * 65):
        with pytest.raises(UsageError, match="1 to 64"):
            store.set_baseline(name, "latest")
    store.set_baseline("x" * 64, "latest")


def test_the_history_of_a_run_has_the_cases_of_its_rows(db):
    store = Store(str(db), write=True)
    run = store.begin(BARE, BARE_PLAN)
    time = Time("cpu", 1.0, 1.0, 1.0, (1,), calibration_median_s=2.0)
    case = Case(1, 128, 2, 16, 16)
    store.append(run.id, [Measurement("linear", "linear/chunk", case, Status.OK, time=time)])
    points = store.history_of(run.id)
    assert {point.case.T for point in points} == {128}
    assert [point.run for point in points] == [summary.id for summary in reversed(store.summaries())]
    assert (points[-1].median_s, points[-1].calibration_s) == (1.0, 2.0)
