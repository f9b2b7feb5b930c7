"""HTML: templates and styles of a page, escaped so that no stored text becomes markup or code."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup


class _Loader(PackageLoader):
    """Loads templates without the indentation of their lines, which a long table would repeat."""

    def get_source(
        self, environment: Environment, template: str
    ) -> tuple[str, str, Callable[[], bool] | None]:
        source, path, is_current = super().get_source(environment, template)
        return re.sub(r"^ +", "", source, flags=re.MULTILINE), path, is_current


def template(name: str) -> Template:
    """Return a template of the report; values are escaped, and a missing value is an error."""
    return Environment(
        loader=_Loader("linbench.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    ).get_template(name)


def asset(name: str) -> Markup:
    """Return a style sheet of the report, unchanged."""
    return Markup(files("linbench.report").joinpath("templates", name).read_text(encoding="utf-8"))


def script_hash(script: str) -> str:
    """Return the hash with which a page's content security policy allows a script."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
