"""Picture: the ladder as a figure for the documentation."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from linbench.core.errors import UsageError
from linbench.selftest.ladder import OURS, Ladder

FORMS: Final = (".svg", ".png", ".pdf")


def check_picture(path: Path) -> None:
    """See that a picture can be drawn there.

    Raises:
        UsageError: It is no picture's name, in no folder, or matplotlib is not installed.
    """
    if path.suffix not in FORMS:
        raise UsageError(f"--picture {path}: name a file that ends in {', '.join(FORMS)}")
    if not path.parent.is_dir() or path.is_dir():
        raise UsageError(f"--picture {path}: {path.parent} is no folder; make it, or name another")
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise UsageError("--picture needs matplotlib; pip install matplotlib") from None


def draw(ladder: Ladder, path: Path) -> None:
    """Write how often each rule calls each slowdown slower, as a figure; of one ladder always the same."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    extra = [100 * rung.extra for rung in ladder.rungs]
    with mpl.rc_context({"svg.hashsalt": "linbench", "font.size": 9}):
        figure = Figure(figsize=(6.5, 3.6), layout="constrained")
        axes = figure.add_subplot()
        for name in ladder.rungs[0].slower:
            shares = [100 * rung.slower[name] for rung in ladder.rungs]
            ours = name == OURS
            axes.plot(extra, shares, marker="o", label=name, lw=2.5 if ours else 1.2, zorder=3 if ours else 2)
        axes.set_xticks(extra)
        axes.set_xlabel("injected slowdown, % (at 0 every alarm is false)")
        axes.set_ylabel("called slower, %")
        axes.set_ylim(-3, 103)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))
        axes.set_title(f"{ladder.case}, a call {1e3 * ladder.call_s:.3g} ms", fontsize=9)
        dated = {".svg": "Date", ".pdf": "CreationDate"}.get(path.suffix)
        figure.savefig(path, metadata={dated: None} if dated else None)
