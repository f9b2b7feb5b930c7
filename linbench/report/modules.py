"""Modules: the ES modules of a page joined into one script, since a single file cannot import modules."""

from __future__ import annotations

import re
from importlib.resources import files
from typing import Final

IMPORT: Final = re.compile(r'^import (\{[^}]*\}) from "\./(\w+)\.js";$', re.MULTILINE)
EXPORT: Final = re.compile(r"^export ((?:async )?function|const) (\w+)", re.MULTILINE)


def join_modules(entry: str) -> str:
    """Return a module and its imports as one script: each module once, in its own scope, after its imports.

    Args:
        entry: Name of the module, without its suffix.

    Raises:
        ValueError: Modules import each other in a cycle, a name is not exported, or an import or export is
            not of the form `import { a, b } from "./name.js";`, `export function` or `export const`.
    """
    scripts: dict[str, str] = {}
    _join(entry, scripts, ())
    return "".join(scripts.values())


def _join(name: str, scripts: dict[str, str], importers: tuple[str, ...]) -> None:
    if name in importers:
        raise ValueError(f"modules import each other: {' from '.join((*importers, name))}")
    if name in scripts:
        return
    text = _read_module(name)
    for names, module in IMPORT.findall(text):
        _join(module, scripts, (*importers, name))
        if missing := set(re.findall(r"\w+", names)) - set(_exports(_read_module(module))):
            raise ValueError(f"{name}.js: {module}.js exports no {', '.join(sorted(missing))}")
    body = EXPORT.sub(r"\1 \2", IMPORT.sub(r"const \1 = $\2;", text))
    if unsupported := re.search(r"^(?:import|export)\b.*", body, re.MULTILINE):
        raise ValueError(f"{name}.js: unsupported import or export: {unsupported[0]}")
    scripts[name] = (
        f"const ${name} = await (async () => {{\n{body}return {{ {', '.join(_exports(text))} }};\n}})();\n"
    )


def _read_module(name: str) -> str:
    return files("linbench.report").joinpath("scripts", f"{name}.js").read_text(encoding="utf-8")


def _exports(text: str) -> list[str]:
    return [name for _, name in EXPORT.findall(text)]
