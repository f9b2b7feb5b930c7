"""Document: what our pages with figures are made of: one HTML file that needs no network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from markupsafe import Markup
from plotly.offline import get_plotlyjs

from linbench.analysis.palette import DARK, LIGHT
from linbench.core.measurement import Time
from linbench.report import html
from linbench.text import format
from linbench.text.script import embedded


def document(template: str, scripts: Sequence[str], data: Any, **values: Any) -> str:
    """Return a template filled in, with plotly, our scripts and the data that they draw from inside.

    Args:
        template: Its file; it includes head.html.j2 and scripts.html.j2.
        scripts: Files of JavaScript, in the order in which they run.
        data: What they draw from, as plain JSON data.
        **values: What the template takes beside.
    """
    plotly, script = get_plotlyjs(), "\n".join(map(html.asset, scripts))
    return html.template(template).render(
        **values,
        data=embedded(data),
        palette=[("light", LIGHT), ("dark", DARK)],
        css=html.asset("page.css"),
        plotly=Markup(plotly),
        script=Markup(script),
        hashes=[html.hashed(plotly), html.hashed(script)],
        format=format,
    )


def finite(value: float, digits: int = 9) -> float | None:
    """Return a number with so many significant digits, or None if it is not finite."""
    return float(f"{value:.{digits}g}") if math.isfinite(value) else None


def timing(time: Time | None) -> list[float | int | None]:
    """Return the median of a row, the ends of its interval and its number of samples, as a page's data."""
    if time is None:
        return [None, None, None, 0]
    return [finite(time.median_s), finite(time.ci_low_s), finite(time.ci_high_s), time.n]
