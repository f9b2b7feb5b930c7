"""How often the criteria of other tools and `linbench compare` detect slowdowns of known size.

The processes and the result of `linbench compare` are those of `linbench selftest --slowdowns`. The other
tools get one unpaired run of each side: A in one process and B in the next. Their samples are the medians of
the turns.

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
from linbench.selftest.slowdowns import PROCESSES, measure_slowdowns, summarize

LINBENCH_COMPARE = "linbench compare"
RESAMPLES = 1000


def pytest_benchmark(a_s, b_s):
    """Return the answer of --benchmark-compare-fail=mean:5%: the mean is more than 5% longer."""
    return fmean(b_s) > 1.05 * fmean(a_s)


def asv(a_s, b_s):
    """Return the answer of `asv continuous` with its defaults.

    The median is more than 1.1 times as long, and p < .002 in a two-sided Mann-Whitney test (asv,
    `_stats.is_different`).
    """
    return median(b_s) > 1.1 * median(a_s) and mann_whitney_p(a_s, b_s) < 0.002


def mann_whitney(a_s, b_s):
    """Return whether the median is longer and p < .01 in a two-sided Mann-Whitney test."""
    return median(b_s) > median(a_s) and mann_whitney_p(a_s, b_s) < 0.01


def criterion(a_s, b_s):
    """Return whether criterion.rs reports "Performance has regressed", with its defaults.

    There are two conditions: p < .05 for Welch's t, whose distribution is bootstrapped from the pooled
    samples, and a 95% bootstrap interval of the change of the mean above the noise threshold of 1%.
    criterion.rs uses 100,000 resamples, this function 1,000.
    """
    source = np.random.default_rng(0)
    a, b = np.asarray(a_s), np.asarray(b_s)
    pooled = np.concatenate((a, b))
    resamples = source.choice(pooled, (RESAMPLES, len(pooled)))
    null = welch_t(resamples[:, : len(a)], resamples[:, len(a) :])
    observed = welch_t(a[None], b[None])[0]
    if np.mean(np.abs(null) >= abs(observed)) >= 0.05:
        return False
    change = source.choice(b, (RESAMPLES, len(b))).mean(1) / source.choice(a, (RESAMPLES, len(a))).mean(1) - 1
    return bool(np.quantile(change, 0.025) > 0.01)


def github_action_benchmark(a_s, b_s):
    """Return whether its alert-threshold of 200% is exceeded: the mean is more than twice as long."""
    return fmean(b_s) > 2 * fmean(a_s)


def mann_whitney_p(a_s, b_s):
    """Return the two-sided p-value of scipy's Mann-Whitney test."""
    from scipy.stats import mannwhitneyu

    return float(mannwhitneyu(a_s, b_s, alternative="two-sided").pvalue)


def welch_t(a, b):
    """Return Welch's t of each row; without variance, 0 for equal means and infinity for different ones."""
    difference = b.mean(1) - a.mean(1)
    error = np.sqrt(a.var(1, ddof=1) / a.shape[1] + b.var(1, ddof=1) / b.shape[1])
    without_variance = np.where(difference == 0, 0.0, np.copysign(np.inf, difference))
    return np.divide(difference, error, out=without_variance, where=error > 0)


CRITERIA = {
    "pytest-benchmark mean:5%": pytest_benchmark,
    "asv factor 1.1": asv,
    "Mann-Whitney p < .01": mann_whitney,
    "criterion": criterion,
    "github-action-benchmark 200%": github_action_benchmark,
}


def shares(recording):
    """Return how often each tool calls B slower at each slowdown of a recording, by the tool's name."""
    pairs = [
        [(a.a_s, b.b_s) for a, b in zip(processes, [*processes[1:], processes[0]], strict=True)]
        for processes in recording.slowdowns
    ]
    return {
        name: [fmean(is_slower(*pair) for pair in slowdown) for slowdown in pairs]
        for name, is_slower in CRITERIA.items()
    }


def draw(report, shares_by_tool, path):
    """Write a figure of how often each tool calls each slowdown slower; it is reproducible byte by byte."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    extra = [100 * slowdown.extra for slowdown in report.slowdowns]
    with mpl.rc_context({"svg.hashsalt": "linbench", "font.size": 9}):
        figure = Figure(figsize=(6.5, 3.6), layout="constrained")
        axes = figure.add_subplot()
        linbench_shares = [slowdown.slower for slowdown in report.slowdowns]
        for name, tool_shares in {LINBENCH_COMPARE: linbench_shares, **shares_by_tool}.items():
            width, order = (2.5, 3) if name == LINBENCH_COMPARE else (1.2, 2)
            percent = [100 * share for share in tool_shares]
            axes.plot(extra, percent, marker="o", label=name, lw=width, zorder=order)
        axes.set_xticks(extra)
        axes.set_xlabel("injected slowdown, % (at 0 every alarm is false)")
        axes.set_ylabel("called slower, %")
        axes.set_ylim(-3, 103)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))
        axes.set_title(f"{report.case}, {1e3 * report.call_s:.3g} ms per call", fontsize=9)
        date_field = {".svg": "Date", ".pdf": "CreationDate"}.get(path.suffix)
        figure.savefig(path, metadata={date_field: None} if date_field else None)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--device", choices=("cpu", "cuda"), default=api.default_device())
    parser.add_argument("--time-limit", type=float, default=600.0, metavar="SECONDS")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="an .svg, .png or .pdf")
    arguments = parser.parse_args()
    if arguments.picture and not arguments.picture.parent.is_dir():
        parser.error(f"--picture {arguments.picture}: there is no folder {arguments.picture.parent}")
    note = lambda number: print(f"{number} of {PROCESSES} processes of each", file=sys.stderr)  # noqa: E731
    try:
        recording = measure_slowdowns(arguments.device, arguments.time_limit, note)
    except LinbenchError as error:
        sys.exit(f"slowdowns: {error}")
    report, shares_by_tool = summarize(recording), shares(recording)
    for line in slowdown_lines(report):
        print(line)
    header = ["CALLED SLOWER BY", *(f"{slowdown.extra:.0%}" for slowdown in report.slowdowns)]
    table = [[name, *(f"{share:.1%}" for share in values)] for name, values in shares_by_tool.items()]
    for line in columns(header, table):
        print(line)
    if arguments.picture:
        draw(report, shares_by_tool, arguments.picture)


if __name__ == "__main__":
    main()
