"""HTML: templates, styles, scripts and data of a page, so that nothing stored becomes markup or code."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup


def template(name: str) -> Template:
    """Return a template of the report; whatever is filled in is escaped, and nothing may be left out."""
    return Environment(
        loader=PackageLoader("linbench.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    ).get_template(name)


def asset(name: str) -> Markup:
    """Return a style sheet or a script of the report as it stands."""
    return Markup(files("linbench.report").joinpath("templates", name).read_text(encoding="utf-8"))


def hashed(script: str) -> str:
    """Return the hash by which a page's policy allows a script."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
