"""What a run's measurements say: panels, speed-ups and crossovers, as pure functions."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, pairwise
from typing import Final

from linbench.core.case import Case, Scalar
from linbench.core.measurement import Measurement, Status, Time

FOLLOWERS: Final = {"T": "B", "K": "V"}

Series = Mapping[int, Time]


@dataclass(frozen=True)
class Panel:
    """Rows that differ in the implementation and in one axis only.

    Attributes:
        axis: The axis that varies: T, B, K (with V) or H.
        settings: What is the same in every row, as text, by name.
        rows: The rows, failures included.
    """

    axis: str
    settings: Mapping[str, str]
    rows: tuple[Measurement, ...]

    @cached_property
    def xs(self) -> list[int]:
        """The values of the axis that any row has, ascending."""
        return sorted({position(row.case, self.axis) for row in self.rows})

    @cached_property
    def series(self) -> dict[str, dict[int, Time]]:
        """Times by implementation and value of the axis; one of zero has no logarithm and is left out."""
        found: dict[str, dict[int, Time]] = defaultdict(dict)
        for row in self.rows:
            if row.time is not None and row.time.median_s > 0:
                found[row.implementation][position(row.case, self.axis)] = row.time
        return dict(found)


@dataclass(frozen=True)
class Ratio:
    """A ratio and its 95% interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Crossover:
    """Where one implementation becomes faster than another.

    Attributes:
        slower: The implementation that is faster below the crossover and slower above it.
        faster: The one that overtakes it.
        at: Where the two medians meet, by interpolation on log axes.
        low: The largest measured value below at which the intervals are disjoint.
        high: The smallest such value above.
    """

    slower: str
    faster: str
    at: float
    low: int
    high: int


@dataclass(frozen=True)
class Duel:
    """Two implementations at the values of the axis where both have a time.

    Attributes:
        first: One implementation.
        second: The other.
        first_wins: Values at which the first is faster and the intervals are disjoint.
        second_wins: Values at which the second is, likewise.
        level: Values at which the intervals overlap.
        crossovers: Where the lead changes, from low to high.
    """

    first: str
    second: str
    first_wins: tuple[int, ...]
    second_wins: tuple[int, ...]
    level: tuple[int, ...]
    crossovers: tuple[Crossover, ...]


@dataclass(frozen=True)
class Verdict:
    """Who is fastest at one value of the axis.

    Attributes:
        x: The value.
        fastest: The implementation with the least median.
        time: Its time.
        level: Others whose interval overlaps that of the fastest, fastest first.
        speedup: Time of the baseline over that of the fastest; None where the baseline has no time.
    """

    x: int
    fastest: str
    time: Time
    level: tuple[str, ...]
    speedup: Ratio | None


def varying_axis(rows: Iterable[Measurement]) -> str:
    """Return T where T varies, otherwise the axis of B, K and H that varies most, otherwise T."""
    seen = {axis: {position(row.case, axis) for row in rows} for axis in ("T", "B", "K", "H")}
    if len(seen["T"]) > 1:
        return "T"
    most = max(seen, key=lambda axis: len(seen[axis]))
    return most if len(seen[most]) > 1 else "T"


def position(case: Case, axis: str) -> int:
    """Return the value that a case has on an axis."""
    return int(getattr(case, axis))


def option_text(name: str, value: Scalar) -> str:
    """Return an option as one types it: feature_map=relu, normalise=false."""
    return f"{name}={str(value).lower() if isinstance(value, bool) else value}"


def options_text(case: Case) -> str:
    """Return the options of a case as one line: feature_map=relu normalise=false."""
    return " ".join(option_text(name, value) for name, value in sorted(case.options.items()))


def panels(rows: Sequence[Measurement]) -> tuple[Panel, ...]:
    """Return the rows in panels, in the order in which their settings first appear.

    An operator that was measured with one set of options only is in the panel of every set, so that it
    can be compared with one that was measured with several. Where B was chosen by T (a constant number
    of tokens), or V by K, it follows the axis and divides nothing.
    """
    axis = varying_axis(rows)
    choices: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        choices[row.operator].add(options_text(row.case))
    several = {operator for operator, texts in choices.items() if len(texts) > 1}
    every = sorted({text for operator in several for text in choices[operator]}) or [""]

    groups: dict[tuple[tuple[str, str], ...], list[Measurement]] = defaultdict(list)
    for row in rows:
        for options in [options_text(row.case)] if row.operator in several else every:
            groups[tuple(_settings(row.case, axis, options).items())].append(row)

    found = []
    for settings, members in groups.items():
        follower = FOLLOWERS.get(axis, "")
        if not follower:
            found.append(Panel(axis, dict(settings), tuple(members)))
        elif _follows(members, axis, follower):
            text = f"follows {axis}"
            found.append(Panel(axis, dict(settings) | {follower: text}, tuple(members)))
        else:
            split: dict[int, list[Measurement]] = defaultdict(list)
            for row in members:
                split[position(row.case, follower)].append(row)
            found += [
                Panel(axis, dict(settings) | {follower: str(value)}, tuple(part))
                for value, part in split.items()
            ]
    return tuple(found)


def speedup(time: Time, baseline: Time) -> Ratio:
    """Return how many times faster `time` is than `baseline`, with a 95% interval.

    The interval is recovered from those of the two medians on the log scale, where independent
    half-widths add in squares: with r = log(b / t),
    low = r - sqrt((b - b_low)^2 + (t_high - t)^2) and high = r + sqrt((b_high - b)^2 + (t - t_low)^2),
    every term a logarithm.

    Source: Zou and Donner, Statistics in Medicine 27 (2008), method of variance estimates recovery.
    """
    ratio = baseline.median_s / time.median_s
    down = math.hypot(_log(baseline.median_s, baseline.ci_low_s), _log(time.ci_high_s, time.median_s))
    up = math.hypot(_log(baseline.ci_high_s, baseline.median_s), _log(time.median_s, time.ci_low_s))
    return Ratio(ratio, ratio * math.exp(-down), ratio * math.exp(up))


def duel(panel: Panel, first: str, second: str) -> Duel:
    """Return how two implementations of a panel compare wherever both have a time.

    A crossover is claimed only between two values at which the intervals are disjoint.
    """
    series = panel.series
    one, two = series.get(first, {}), series.get(second, {})
    shared = sorted(one.keys() & two.keys())
    signs = {x: _sign(one[x], two[x]) for x in shared}
    decided = [x for x in shared if signs[x]]
    crossovers = [
        Crossover(
            slower=first if signs[low] > 0 else second,
            faster=second if signs[low] > 0 else first,
            at=_meeting(one, two, [x for x in shared if low <= x <= high]),
            low=low,
            high=high,
        )
        for low, high in pairwise(decided)
        if signs[low] != signs[high]
    ]
    return Duel(
        first=first,
        second=second,
        first_wins=tuple(x for x in shared if signs[x] > 0),
        second_wins=tuple(x for x in shared if signs[x] < 0),
        level=tuple(x for x in shared if not signs[x]),
        crossovers=tuple(crossovers),
    )


def duels(panel: Panel) -> tuple[Duel, ...]:
    """Return every pair of implementations that have a time at a common value of the axis."""
    found = (duel(panel, *pair) for pair in combinations(sorted(panel.series), 2))
    return tuple(pair for pair in found if pair.first_wins or pair.second_wins or pair.level)


def verdicts(panel: Panel, baseline: str | None) -> tuple[Verdict, ...]:
    """Return who is fastest at each value of the axis at which any implementation has a time."""
    series = panel.series
    found = []
    for x in panel.xs:
        ranked = sorted((times[x].median_s, name) for name, times in series.items() if x in times)
        if not ranked:
            continue
        fastest = ranked[0][1]
        time = series[fastest][x]
        against = series.get(baseline or "", {}).get(x)
        level = tuple(name for _, name in ranked[1:] if not _sign(time, series[name][x]))
        found.append(Verdict(x, fastest, time, level, speedup(time, against) if against else None))
    return tuple(found)


def default_baseline(panels: Sequence[Panel]) -> str | None:
    """Return the implementation with the most times; of several, the one that is fastest at the first values.

    It is the one to overtake: what is quick on a short sequence is seldom so on a long one. None where
    nothing was timed.
    """
    times: Counter[str] = Counter()
    wins: Counter[str] = Counter()
    for panel in panels:
        times.update({name: len(found) for name, found in panel.series.items()})
        first = verdicts(panel, None)[:1]
        wins.update(verdict.fastest for verdict in first)
    return min(times, key=lambda name: (-times[name], -wins[name], name), default=None)


def worst_error(row: Measurement) -> str | None:
    """Return the tensor whose relative error is the largest share of its budget, or None without errors.

    A tensor with an element that is not finite is worse than any other.
    """
    if not row.errors:
        return None

    def share(name: str) -> float:
        error = row.errors[name]
        if error.nonfinite or not math.isfinite(error.rel_l2):
            return math.inf
        if error.budget > 0:
            return error.rel_l2 / error.budget
        return math.inf if error.rel_l2 else 0.0

    return max(row.errors, key=share)


def failures(rows: Iterable[Measurement]) -> Counter[Status]:
    """Return how many rows ended in each status that is not ok."""
    return Counter(row.status for row in rows if row.status is not Status.OK)


def _settings(case: Case, axis: str, options: str) -> dict[str, str]:
    """Return what a panel holds fixed; the follower of the axis is left blank, to be filled in."""
    dims = str(case.K) if case.K == case.V else f"{case.K}/{case.V}"
    shape = {"B": str(case.B), "T": str(case.T), "H": str(case.H)}
    shape |= {"V": ""} if axis == "K" else {"K/V": dims}
    shape |= {"B": ""} if axis == "T" else {}
    shape.pop(axis, None)
    return (
        {"mode": case.mode, "dtype": case.dtype, "device": case.device}
        | shape
        | {"options": options, "seed": str(case.seed)}
    )


def _follows(rows: Iterable[Measurement], axis: str, follower: str) -> bool:
    seen: dict[int, set[int]] = defaultdict(set)
    for row in rows:
        seen[position(row.case, axis)].add(position(row.case, follower))
    return all(len(values) == 1 for values in seen.values()) and len(set().union(*seen.values())) > 1


def _log(above: float, below: float) -> float:
    """Return log(above / below); infinite where an interval reaches down to zero."""
    return math.log(above / below) if below > 0 else math.inf


def _sign(one: Time, two: Time) -> int:
    """Return 1 if the first is faster, -1 if the second is, 0 if their intervals overlap."""
    if one.median_s > two.median_s:
        return -_sign(two, one)
    return int(one.ci_high_s < two.ci_low_s)


def _meeting(one: Series, two: Series, xs: Sequence[int]) -> float:
    """Return where the log ratio of the medians, straight in log x between values, first crosses zero."""
    gaps = [math.log(one[x].median_s / two[x].median_s) for x in xs]
    for (left, right), (low, high) in zip(pairwise(gaps), pairwise(xs), strict=True):
        if left * right <= 0 and left != right:
            share = left / (left - right)
            return math.exp(math.log(low) + share * (math.log(high) - math.log(low)))
    raise ValueError("the medians do not cross")
