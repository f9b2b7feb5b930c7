"""How often `linbench history` alarms on autocorrelated noise, and how soon it detects a change.

Both tables are on synthetic series of logarithms. The noise is AR(1) with the given coefficient and standard
deviation. The delay is the number of runs from a change until the first series that has a change point.

Run: python benchmarks/change_points.py --series 1000
"""

import argparse
import math

import numpy as np
from scipy.signal import lfilter

from linbench.cli.text import columns
from linbench.statistics.change_points import change_points

COEFFICIENTS = (0.0, 0.3, 0.5, 0.7, 0.9)
LENGTHS_AND_NOISE = ((60, 0.005), (60, 0.01), (60, 0.03), (30, 0.03), (150, 0.03))
RUNS_BEFORE, RUNS_AFTER, NOISE = 40, 50, 0.005
CHANGES = (0.02, 0.01)


def noise(source, coefficient, deviation, runs):
    """Return AR(1) noise with this standard deviation."""
    innovations = source.normal(0, deviation * math.sqrt(1 - coefficient**2), runs)
    innovations[0] = source.normal(0, deviation)
    return lfilter([1], [1, -coefficient], innovations)


def alarms(coefficient, deviation, runs, series):
    """Return the share of series without a change in which a change point is found."""
    source = np.random.default_rng(1)
    return (
        sum(bool(change_points(noise(source, coefficient, deviation, runs))) for _ in range(series)) / series
    )


def delays(coefficient, size, series):
    """Return the delay of each series, in runs; infinite if the change is not found within 50 runs."""
    source, results = np.random.default_rng(2), []
    for _ in range(series):
        values = noise(source, coefficient, NOISE, RUNS_BEFORE + RUNS_AFTER)
        values[RUNS_BEFORE:] += math.log1p(size)
        counts = range(1, RUNS_AFTER + 1)
        results.append(next((n for n in counts if change_points(values[: RUNS_BEFORE + n])), math.inf))
    return results


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--series", type=int, default=1000, help="Number of series per cell.")
    series = parser.parse_args().series
    header = ["ALARMS", "NOISE", *(f"AR(1) {coefficient}" for coefficient in COEFFICIENTS)]
    rows = [
        [f"{runs} runs", f"{deviation:.1%}"]
        + [f"{alarms(coefficient, deviation, runs, series):.1%}" for coefficient in COEFFICIENTS]
        for runs, deviation in LENGTHS_AND_NOISE
    ]
    print("\n".join(columns(header, rows)), end="\n\n")
    header, rows = ["CHANGE", "AR(1)", "MEDIAN DELAY", "90%", "FOUND WITHIN 50 RUNS"], []
    for size in CHANGES:
        for coefficient in (0.0, 0.5):
            results = delays(coefficient, size, max(series // 10, 1))
            detected = sum(map(math.isfinite, results)) / len(results)
            quantiles = np.quantile(results, (0.5, 0.9), method="lower")
            runs = (f"{n:.0f}" for n in quantiles)
            rows.append([f"{size:.0%}", str(coefficient), *runs, f"{detected:.0%}"])
    print("\n".join(columns(header, rows)))


if __name__ == "__main__":
    main()
