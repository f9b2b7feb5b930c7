"""pytest plugin: the fixture `linbench`, and a device clock for pytest-benchmark.

It works with pytest-benchmark and without. PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from linbench.core.measurement import Measurement
    from linbench.core.plan import Settings

UNDER_XDIST = "linbench: nothing is measured under xdist, where tests disturb each other; leave out -n"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --linbench-db."""
    parser.getgroup("linbench").addoption(
        "--linbench-db",
        metavar="PATH|URL",
        help="Store the runs of the fixture `linbench` in this database.",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Open the database, so that an unusable one is reported before anything is measured."""
    db = config.getoption("linbench_db")
    if not db or _under_xdist(config):
        return
    from linbench.core.errors import LinbenchError
    from linbench.store.store import Store

    try:
        Store(db, write=True)
    except LinbenchError as error:
        raise pytest.UsageError(str(error).replace("--db", "--linbench-db")) from None


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print that nothing is measured under xdist."""
    if config.getoption("linbench_db") and _under_xdist(config):
        terminalreporter.write_line(UNDER_XDIST)


@pytest.fixture(scope="session")
def linbench(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Linbench:
    """Return a function that measures a case: `linbench("linear/chunk", T=1024, mode="fwd")`."""
    if _under_xdist(request.config):
        pytest.skip(UNDER_XDIST)
    db = request.config.getoption("linbench_db")
    return Linbench(db or str(tmp_path_factory.mktemp("linbench") / "linbench.db"))


class Linbench:
    """Checks and times an implementation at one case, as `linbench run` does."""

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
        """Measure an implementation at a case and return the row; the test fails if the row is not ok.

        Args:
            implementation: Full name, as in "linear/chunk".
            may_fail: Whether to return a row of any status.
            device: cpu or cuda; by default cuda if a GPU is visible.
            settings: How to measure; by default as `linbench run` does. Settings(once=True) only checks.
            axes: One value each of B, T, H, D, K, V, dtype, mode and seed; `options` by name.

        Raises:
            UsageError: A name or an axis is not known, or an axis has several values.
            EnvironmentRefused: There is no such device on this machine, or another run is measuring on it.
        """
        from linbench import api
        from linbench.core.errors import UsageError
        from linbench.core.grid import typed_axes
        from linbench.core.measurement import Status

        grid = typed_axes(**{"mode": "fwd"} | axes)
        plan = api.plan_run(None, impl=implementation, device=device, settings=settings, axes=grid)
        if len(plan.jobs) != 1:
            raise UsageError(f"{implementation}: {len(plan.jobs)} cases; give one value per axis")
        (row,) = api.measure(plan, db=self._db).measurements
        if row.status is not Status.OK and not may_fail:
            pytest.fail(f"{row.implementation} {row.case}: {row.status}: {row.reason}", pytrace=False)
        return row


_clock: Callable[[], float] | None = None


def cuda_clock() -> float:
    """Return the time of the device in seconds, after all work that is queued on it has finished.

    For pytest-benchmark: `--benchmark-timer=linbench.pytest_plugin.cuda_clock`. Without a CUDA device the
    test fails: the wall clock is never used instead.
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
            "replace it; leave out --benchmark-timer",
            pytrace=False,
        )
    return DeviceClock(CudaDevice())


def _under_xdist(config: pytest.Config) -> bool:
    return config.getoption("dist", "no") != "no" or "PYTEST_XDIST_WORKER" in os.environ
