"""How often the criteria of other tools find slowdowns of known size, beside that of `linbench compare`.

The processes are those of `linbench selftest --slowdowns`. Ours is printed as that prints it; the others get
one unpaired run of each side: A in a process, and B in the next. What is a sample to them is the median of a
turn.

Run: python benchmarks/slowdowns.py --picture docs/images/injected-slowdowns.svg
"""

import argparse
import sys
from pathlib import Path
from statistics import fmean, median

import numpy as np

from linbench import api
from linbench.cli.selftest import slowdown_lines
from linbench.cli.text import columns
from linbench.core.errors import LinbenchError
from linbench.selftest.slowdowns import PROCESSES, described, measure_slowdowns

OURS = "linbench compare"
RESAMPLES = 1000


def pytest_benchmark(a_s, b_s):
    """Return what --benchmark-compare-fail=mean:5% says: the mean is more than 5% longer."""
    return fmean(b_s) > 1.05 * fmean(a_s)


def asv(a_s, b_s):
    """Return what `asv continuous` says by default.

    The median is more than 1.1 times as long, and a two-sided Mann-Whitney test gives p < .002 (asv,
    `_stats.is_different`).
    """
    return median(b_s) > 1.1 * median(a_s) and mann_whitney_p(a_s, b_s) < 0.002


def mann_whitney(a_s, b_s):
    """Return whether the median is longer and a two-sided Mann-Whitney test gives p < .01."""
    return median(b_s) > median(a_s) and mann_whitney_p(a_s, b_s) < 0.01


def criterion(a_s, b_s):
    """Return whether criterion.rs reports "Performance has regressed", with its defaults.

    Two conditions: p < .05 for Welch's t, its distribution bootstrapped from both sides pooled; and the 95%
    bootstrap interval of the change of the mean lies above its noise threshold of 1%. It takes 100,000
    resamples, here they are 1,000.
    """
    source = np.random.default_rng(0)
    a, b = np.asarray(a_s), np.asarray(b_s)
    pooled = np.concatenate((a, b))
    drawn = source.choice(pooled, (RESAMPLES, len(pooled)))
    null = welch_t(drawn[:, : len(a)], drawn[:, len(a) :])
    seen = welch_t(a[None], b[None])[0]
    if np.mean(np.abs(null) >= abs(seen)) >= 0.05:
        return False
    change = source.choice(b, (RESAMPLES, len(b))).mean(1) / source.choice(a, (RESAMPLES, len(a))).mean(1) - 1
    return bool(np.quantile(change, 0.025) > 0.01)


def github_action_benchmark(a_s, b_s):
    """Return whether its alert-threshold of 200% is passed: the mean is more than twice as long."""
    return fmean(b_s) > 2 * fmean(a_s)


def mann_whitney_p(a_s, b_s):
    """Return the two-sided p-value of the Mann-Whitney test, as scipy computes it."""
    from scipy.stats import mannwhitneyu

    return float(mannwhitneyu(a_s, b_s, alternative="two-sided").pvalue)


def welch_t(a, b):
    """Return Welch's t of each row; 0 where nothing varies and nothing differs, infinite where it does."""
    gap = b.mean(1) - a.mean(1)
    error = np.sqrt(a.var(1, ddof=1) / a.shape[1] + b.var(1, ddof=1) / b.shape[1])
    return np.divide(gap, error, out=np.where(gap == 0, 0.0, np.copysign(np.inf, gap)), where=error > 0)


CRITERIA = {
    "pytest-benchmark mean:5%": pytest_benchmark,
    "asv factor 1.1": asv,
    "Mann-Whitney p < .01": mann_whitney,
    "criterion": criterion,
    "github-action-benchmark 200%": github_action_benchmark,
}


def shares(recording):
    """Return how often each tool calls B slower, by its name, at each slowdown of a recording."""
    runs = [
        [(one.a_s, other.b_s) for one, other in zip(slowdown, [*slowdown[1:], slowdown[0]], strict=True)]
        for slowdown in recording.slowdowns
    ]
    return {
        name: [fmean(is_slower(*run) for run in slowdown) for slowdown in runs]
        for name, is_slower in CRITERIA.items()
    }


def draw(report, others, path):
    """Write how often each tool calls each slowdown slower, as a figure; of one report always the same."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    extra = [100 * slowdown.extra for slowdown in report.slowdowns]
    with mpl.rc_context({"svg.hashsalt": "linbench", "font.size": 9}):
        figure = Figure(figsize=(6.5, 3.6), layout="constrained")
        axes = figure.add_subplot()
        for name, found in {OURS: [slowdown.slower for slowdown in report.slowdowns], **others}.items():
            ours = name == OURS
            width, order = (2.5, 3) if ours else (1.2, 2)
            percent = [100 * share for share in found]
            axes.plot(extra, percent, marker="o", label=name, lw=width, zorder=order)
        axes.set_xticks(extra)
        axes.set_xlabel("injected slowdown, % (at 0 every alarm is false)")
        axes.set_ylabel("called slower, %")
        axes.set_ylim(-3, 103)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))
        axes.set_title(f"{report.case}, a call {1e3 * report.call_s:.3g} ms", fontsize=9)
        dated = {".svg": "Date", ".pdf": "CreationDate"}.get(path.suffix)
        figure.savefig(path, metadata={dated: None} if dated else None)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--device", choices=("cpu", "cuda"), default=api.default_device())
    parser.add_argument("--time-limit", type=float, default=600.0, metavar="SECONDS")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="an .svg, .png or .pdf")
    given = parser.parse_args()
    if given.picture and not given.picture.parent.is_dir():
        parser.error(f"--picture {given.picture}: there is no folder {given.picture.parent}")
    note = lambda number: print(f"{number} of {PROCESSES} processes of each", file=sys.stderr)  # noqa: E731
    try:
        recording = measure_slowdowns(given.device, given.time_limit, note)
    except LinbenchError as error:
        sys.exit(f"slowdowns: {error}")
    report, others = described(recording), shares(recording)
    for line in slowdown_lines(report):
        print(line)
    header = ["CALLED SLOWER BY", *(f"{slowdown.extra:.0%}" for slowdown in report.slowdowns)]
    for line in columns(header, [[name, *(f"{x:.1%}" for x in found)] for name, found in others.items()]):
        print(line)
    if given.picture:
        draw(report, others, given.picture)


if __name__ == "__main__":
    main()
