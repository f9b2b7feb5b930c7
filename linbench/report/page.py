"""The page: one HTML file that holds a run, its analysis and its figures, and needs no network."""

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
        baseline: The implementation that speed-ups are over; by default the one with the most times and,
            of several, the one that is fastest where the panels begin. A name that the run does not have
            counts as none.
        series: What the store's runs found of its cases.
        baselines: Runs of the store by their names.
        operators: Those whose complexity is known.
        profiles: Of its cases, one for each implementation and case.
    """
    report = report_data(run, baseline, series, baselines, operators, profiles)
    elements = {"data": report.drawing, "csv": report.csv}
    return document("page.html.j2", "page", report.summary, elements, report)
