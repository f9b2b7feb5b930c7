"""The page: one HTML file with a run, its analysis and its figures; it needs no network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from linbench.compare.history import Series
from linbench.core.operator import Operator
from linbench.core.run import Run
from linbench.report.data import report_data
from linbench.report.document import document
from linbench.report.profiled import AnnotatedProfile


def render(
    run: Run,
    *,
    baseline: str | None = None,
    series: Sequence[Series] = (),
    baselines: Mapping[str, str] | None = None,
    operators: Sequence[Operator] = (),
    profiles: Sequence[AnnotatedProfile] = (),
) -> str:
    """Return the report of a run as one HTML page.

    Args:
        run: The run, with its measurements.
        baseline: The implementation that speed-ups are relative to; by default, and if the run does not have
            it, the one with the most times (ties go to the fastest at the smallest values of the axis).
        series: The series of the run's cases over the runs of the store.
        baselines: The ids of named runs of the store, by name.
        operators: The operators whose complexity is known.
        profiles: Profiles of the run's cases, one for each implementation and case.
    """
    report = report_data(run, baseline, series, baselines, operators, profiles)
    elements = {"data": report.drawing, "csv": report.csv}
    return document("page.html.j2", "page", report.summary, elements, report)
