"""HTML: templates, styles, scripts and data of a page, so that nothing stored becomes markup or code."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup


class _Loader(PackageLoader):
    """Reads templates without the indentation of their lines, which a long table would repeat."""

    def get_source(
        self, environment: Environment, template: str
    ) -> tuple[str, str, Callable[[], bool] | None]:
        source, path, is_current = super().get_source(environment, template)
        return re.sub(r"^ +", "", source, flags=re.MULTILINE), path, is_current


def template(name: str) -> Template:
    """Return a template of the report; whatever is filled in is escaped, and nothing may be left out."""
    return Environment(
        loader=_Loader("linbench.report"),
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
