"""pytest plugin: the fixture `linbench`, a device clock for pytest-benchmark, and a store for both.

It works with pytest-benchmark and without. PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from linbench.core.measurement import Measurement
    from linbench.core.plan import Settings

UNDER_XDIST = "linbench: under xdist tests disturb each other: nothing is measured or recorded; leave out -n"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --linbench-db."""
    parser.getgroup("linbench").addoption(
        "--linbench-db",
        metavar="PATH|URL",
        help="Record what the fixtures `linbench` and `benchmark` measure in this database.",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Record pytest-benchmark's fixtures where a database is given and tests run one at a time."""
    if config.getoption("linbench_db") and not _under_xdist(config):
        config.pluginmanager.register(Recorder(config), "linbench-recorder")


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Say that nothing is recorded under xdist."""
    if config.getoption("linbench_db") and _under_xdist(config):
        terminalreporter.write_line(UNDER_XDIST)


@pytest.fixture(scope="session")
def linbench(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Linbench:
    """Return what measures an implementation at a case: `linbench("linear/chunk", T=1024, mode="fwd")`."""
    if _under_xdist(request.config):
        pytest.skip(UNDER_XDIST)
    db = request.config.getoption("linbench_db")
    return Linbench(db or str(tmp_path_factory.mktemp("linbench") / "linbench.db"))


class Linbench:
    """Measures an implementation at one case, checked and timed as `linbench run` does it."""

    def __init__(self, db: str) -> None:
        self._db = db

    def __call__(
        self,
        implementation: str,
        *,
        may_fail: bool = False,
        device: str | None = None,
        settings: Settings | None = None,
        **axes: Any,
    ) -> Measurement:
        """Return the row of an implementation at a case; the test fails if the row is not ok.

        Args:
            implementation: Full name, as in "linear/chunk".
            may_fail: Return a row of any status.
            device: cpu or cuda; the GPU if there is one.
            settings: How to measure, if not as `linbench run` does; Settings(once=True) only checks.
            axes: One value each of B, T, H, D, K, V, dtype, mode and seed; `options` by name.

        Raises:
            UsageError: A name or an axis is not known, or an axis has several values.
            EnvironmentRefused: There is no such device here, or it is being measured by another run.
        """
        from linbench import api
        from linbench.core.errors import UsageError
        from linbench.core.measurement import Status

        grid: dict[str, Any] = {"mode": "fwd"} | axes
        grid |= {"options": {name: [value] for name, value in axes.get("options", {}).items()}}
        grid = {name: [value] if isinstance(value, int) else value for name, value in grid.items()}
        plan = api.plan_run(None, impl=implementation, device=device, settings=settings, axes=grid)
        if len(plan.jobs) != 1:
            raise UsageError(f"{implementation}: {len(plan.jobs)} cases; give one value an axis")
        (row,) = api.measure(plan, db=self._db).measurements
        if row.status is not Status.OK and not may_fail:
            pytest.fail(f"{row.implementation} {row.case}: {row.status}: {row.reason}", pytrace=False)
        return row


_clock: Callable[[], float] | None = None


def cuda_clock() -> float:
    """Return the device's time in seconds, once all that is queued there is done.

    For pytest-benchmark: `--benchmark-timer=linbench.pytest_plugin.cuda_clock`. Where there is no CUDA device
    the test fails: the wall clock never stands in for it.
    """
    global _clock
    if _clock is None:
        _clock = _new_clock()
    return _clock()


def _new_clock() -> Callable[[], float]:
    from linbench.core.gpu import visible_gpus
    from linbench.measure.clock import DeviceClock
    from linbench.measure.device import CudaDevice

    if not visible_gpus():
        pytest.fail(
            "linbench.pytest_plugin.cuda_clock: no CUDA device is visible here, and the wall clock does not "
            "stand in for it; leave out --benchmark-timer",
            pytrace=False,
        )
    return DeviceClock(CudaDevice())


class Recorder:
    """Records what pytest-benchmark's fixture timed in the tests that passed."""

    def __init__(self, config: pytest.Config) -> None:
        """Open the database, so that a wrong one is told before anything is timed."""
        from linbench.core.errors import LinbenchError
        from linbench.store.sessions import Sessions

        try:
            self._sessions = Sessions(config.getoption("linbench_db"), write=True)
        except LinbenchError as error:
            raise pytest.UsageError(str(error).replace("--db", "--linbench-db")) from None
        self._config = config
        self._records: list[dict[str, Any]] = []
        self._lines: list[str] = []

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Take the statistics of a test's fixture `benchmark`, if it has one that timed anything."""
        report = yield
        fixture = getattr(item, "funcargs", {}).get("benchmark")
        timed = getattr(fixture, "stats", None)
        if call.when == "call" and timed:
            if report.passed:
                self._records.append(timed.as_dict(include_data=True))
            else:
                self._lines.append(f"linbench: not recorded, the test failed: {item.nodeid}")
        return report

    def pytest_sessionfinish(self) -> None:
        """Write what was taken, as one session."""
        from linbench.core.errors import LinbenchError

        if not self._records:
            return
        try:
            session = _session(self._config, self._records)
            self._sessions.add(session)
        except LinbenchError as error:
            raise pytest.UsageError(f"--linbench-db: nothing was recorded: {error}") from None
        what = f"{len(self._records)} benchmarks, checked against nothing"
        self._lines.append(f"linbench: recorded {what}, in {self._sessions.place} as {session.id}")

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Say what was recorded, and what was not."""
        for line in self._lines:
            terminalreporter.write_line(line)


def _session(config: pytest.Config, records: list[dict[str, Any]]) -> Any:
    """Return what pytest-benchmark timed, at the commit that it names, on this machine as we see it."""
    import json
    from datetime import UTC, datetime
    from importlib.metadata import version

    from linbench.core import environment
    from linbench.core.codec import encode
    from linbench.store.exchange import pytest_benchmark

    captured = encode(environment.capture({}))
    commit = config.hook.pytest_benchmark_generate_commit_info(config=config)
    config.hook.pytest_benchmark_update_commit_info(config=config, commit_info=commit)
    document = {
        "machine_info": {name: captured[name] for name in ("host", "gpus", "libraries", "variables")},
        "commit_info": commit,  # of the code under test, not the harness's
        "benchmarks": records,
        "datetime": datetime.now(UTC).isoformat(),
        "version": version("pytest-benchmark"),
    }
    plain = json.loads(json.dumps(document, default=str))  # parameters of a test may be any objects
    return pytest_benchmark.session(plain, "pytest-benchmark", None)


def _under_xdist(config: pytest.Config) -> bool:
    return config.getoption("dist", "no") != "no" or "PYTEST_XDIST_WORKER" in os.environ
