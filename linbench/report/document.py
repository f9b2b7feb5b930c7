"""Document: the frame of the pages with figures: one HTML file that needs no network."""

from __future__ import annotations

import json
from collections.abc import Mapping

from markupsafe import Markup
from plotly.offline import get_plotlyjs

from linbench.analysis.palette import DARK, LIGHT
from linbench.report import html
from linbench.report.modules import join_modules
from linbench.report.summary import Summary
from linbench.text import format
from linbench.text.script import compress


def document(
    template: str, entry: str, summary: Summary, elements: Mapping[str, object], report: object
) -> str:
    """Return a rendered template that contains plotly, the script of the page and the data of that script.

    Args:
        template: Name of the template file; it includes head.html.j2 and scripts.html.j2.
        entry: The entry module of the script.
        summary: The description of the page.
        elements: The data that the script reads, by element id.
        report: The content of the template.
    """
    plotly, script = get_plotlyjs(), join_modules(entry)
    return html.template(template).render(
        summary=summary,
        record=json.dumps(vars(summary)),
        report=report,
        elements={name: compress(data) for name, data in elements.items()},
        palette=[("light", LIGHT), ("dark", DARK)],
        css=html.asset("page.css"),
        plotly=Markup(plotly),
        script=Markup(script),
        hashes=[html.script_hash(plotly), html.script_hash(script)],
        format=format,
    )
