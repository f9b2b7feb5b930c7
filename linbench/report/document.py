"""Document: what our pages with figures are made of: one HTML file that needs no network."""

from __future__ import annotations

import json
from collections.abc import Mapping

from markupsafe import Markup
from plotly.offline import get_plotlyjs

from linbench.analysis.palette import DARK, LIGHT
from linbench.report import html
from linbench.report.modules import joined
from linbench.report.summary import Summary
from linbench.text import format
from linbench.text.script import compress


def document(
    template: str, entry: str, summary: Summary, elements: Mapping[str, object], report: object
) -> str:
    """Return a template filled in, with plotly, our script and the data that it draws from inside.

    Args:
        template: Its file; it includes head.html.j2 and scripts.html.j2.
        entry: The module with which the script begins.
        summary: What the page says of itself.
        elements: What the script reads, by the id of its element.
        report: What the template fills in.
    """
    plotly, script = get_plotlyjs(), joined(entry)
    return html.template(template).render(
        summary=summary,
        record=json.dumps(vars(summary)),
        report=report,
        elements={name: compress(data) for name, data in elements.items()},
        palette=[("light", LIGHT), ("dark", DARK)],
        css=html.asset("page.css"),
        plotly=Markup(plotly),
        script=Markup(script),
        hashes=[html.hashed(plotly), html.hashed(script)],
        format=format,
    )
