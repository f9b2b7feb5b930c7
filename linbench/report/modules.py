"""Modules: the ES modules of a page as one script, since a page that is one file can import none."""

from __future__ import annotations

import re
from importlib.resources import files
from typing import Final

IMPORT: Final = re.compile(r'^import (\{[^}]*\}) from "\./(\w+)\.js";$', re.MULTILINE)
EXPORT: Final = re.compile(r"^export ((?:async )?function|const) (\w+)", re.MULTILINE)


def joined(entry: str) -> str:
    """Return a module and all that it imports, each once, in a scope of its own, after what it imports.

    Args:
        entry: Name of the module, without its ending.

    Raises:
        ValueError: Modules import each other in a circle or what there is not, or one has an import or export
            that is not `import { a, b } from "./name.js";`, `export function` or `export const`.
    """
    found: dict[str, str] = {}
    _join(entry, found, ())
    return "".join(found.values())


def _join(name: str, found: dict[str, str], above: tuple[str, ...]) -> None:
    if name in above:
        raise ValueError(f"modules import each other: {' from '.join((*above, name))}")
    if name in found:
        return
    text = _read(name)
    for names, other in IMPORT.findall(text):
        _join(other, found, (*above, name))
        if missing := set(re.findall(r"\w+", names)) - set(_exported(_read(other))):
            raise ValueError(f"{name}.js: {other}.js exports no {', '.join(sorted(missing))}")
    body = EXPORT.sub(r"\1 \2", IMPORT.sub(r"const \1 = $\2;", text))
    if left := re.search(r"^(?:import|export)\b.*", body, re.MULTILINE):
        raise ValueError(f"{name}.js: a page cannot join {left[0]}")
    found[name] = (
        f"const ${name} = await (async () => {{\n{body}return {{ {', '.join(_exported(text))} }};\n}})();\n"
    )


def _read(name: str) -> str:
    return files("linbench.report").joinpath("scripts", f"{name}.js").read_text(encoding="utf-8")


def _exported(text: str) -> list[str]:
    return [name for _, name in EXPORT.findall(text)]
