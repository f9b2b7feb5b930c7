"""Methods: how a run was measured, in words, from what was recorded and nothing else."""

from collections import Counter
from collections.abc import Iterator, Sequence
from statistics import median
from typing import Final

from linbench.core.gpu import Gpu
from linbench.core.measurement import FAILURES, Measurement, Status, Time
from linbench.core.plan import Settings
from linbench.core.run import Run
from linbench.statistics.interval import SAMPLES_FOR_95
from linbench.text import format

TIMERS: Final = {
    "cpu": "wall time of a call",
    "cuda_events_cold": "time between two CUDA events around a call, with the L2 cache flushed before",
    "cuda_graph_hot": "time of a replay in a CUDA graph that repeats the call on the same inputs",
    "cuda_graph_cold": "time of a call in a CUDA graph over copies of its inputs that exceed the L2 cache",
    "cupti": "span from the start of the first to the end of the last kernel of a call, by CUPTI",
}
METERS: Final = {
    "allocator": "torch's allocator record",
    "rss": "the resident set of a fresh process",
}
MODES: Final = {
    "fwd_bwd": "the forward and the gradient of every differentiable input",
    "prefill": "the forward that also returns the state",
    "decode": "one token from a state or a cache",
}
CLOCKS: Final = {
    "cpu_mhz": ("the processors' mean clock", "MHz"),
    "gpu_sm_mhz": ("the clock of the GPU's multiprocessors", "MHz"),
    "gpu_memory_mhz": ("the clock of the GPU's memory", "MHz"),
    "gpu_c": ("the GPU's temperature", "degrees Celsius"),
    "gpu_w": ("the GPU's power", "W"),
}


def methods(run: Run) -> str:
    """Return a paragraph on methods: what was measured, where, how, and what disturbed it."""
    parts = (_what(run), _where(run), *_timing(run), *_checks(run.measurements), *_machine(run.measurements))
    return " ".join([*parts, *_outcome(run.measurements)]) + "\n"


def _what(run: Run) -> str:
    rows = run.measurements
    names = sorted({row.implementation for row in rows if row.status is not Status.UNSUPPORTED})
    others = sorted({row.implementation for row in rows} - set(names))
    listed = f" ({', '.join(names)})" if names else ""
    axes = []
    for name in ("mode", "dtype", "B", "T", "H", "K", "V"):
        values = list(dict.fromkeys(getattr(row.case, name) for row in rows))
        shown = [format.count(value) for value in sorted(values)] if name in "BTHKV" else values
        axes.append(f"{name} = {', '.join(shown)}")
    seeds = sorted({row.case.seed for row in rows})
    modes = [f"{mode} is {MODES[mode]}" for mode in MODES if any(row.case.mode == mode for row in rows)]
    return (
        f"We measured {format.plural(len(names), 'implementation')}{listed} "
        f"at {'; '.join(axes)}, on random inputs of seed {', '.join(map(str, seeds))}."
        + (f" Here {format.listing(modes)}." if modes else "")
        + (f" None of these cases is supported by {format.listing(others)}." if others else "")
    )


def _where(run: Run) -> str:
    environment, host = run.environment, run.environment.host
    parts = [
        f"{host.cpu} ({format.plural(host.cores, 'core')})",
        f"{format.size(host.memory_bytes)} of memory",
    ]
    parts += [f"{number} {name}" for name, number in Counter(map(_gpu, environment.gpus)).items()]
    text = f"The machine has {format.listing(parts)}."
    software = [host.system, f"Python {host.python}"]
    software += [f"{name} {version}" for name, version in environment.libraries.items()]
    text += f" Software: {', '.join(software)}."
    if environment.variables:
        shown = (f"{name}={value}" for name, value in sorted(environment.variables.items()))
        text += f" Set were {', '.join(shown)}."
    for code in environment.code:
        if code.commit:
            state = ", with uncommitted changes" if code.dirty else ""
            text += f" The code of {code.name} was at commit {code.commit}{state}."
    ended = "" if run.finished_at else ", and did not finish"
    return f"{text} The run is {run.id}, begun {run.created_at}{ended}."


def _gpu(gpu: Gpu) -> str:
    return f"{gpu.name} ({format.size(gpu.memory_bytes)}, driver {gpu.driver})"


def _timing(run: Run) -> Iterator[str]:
    times = [row.time for row in run.measurements if row.time]
    if not times:
        yield "Nothing was timed."
        return
    for timer, number in sorted(Counter(time.timer for time in times).items()):
        where = "" if number == len(times) else f" in {format.plural(number, 'row')}"
        meaning = f": {TIMERS[timer]}" if timer in TIMERS else ""
        yield f"The timer{where} is {timer}{meaning}."
    processes = _span([len(time.processes) for time in times], "process", "processes")
    yield f"Each time comes from {processes} and {_span([time.n for time in times], 'sample', 'samples')}."
    yield from _asked(run.plan.settings)
    yield _estimate(times)


def _asked(settings: Settings) -> Iterator[str]:
    """Yield what was asked for."""
    half_width = format.digits(100 * settings.precision)
    yield (
        "Asked for were, of each row over all its processes, "
        f"{_span([settings.processes], 'process', 'processes')} at most, "
        f"{format.seconds(settings.min_time_s)} of timed calls, "
        f"up to {format.seconds(settings.max_time_s)} until the half width of the interval is "
        f"{half_width}%, no more than {format.count(settings.max_samples)} calls."
    )
    yield f"A row was given up after {format.seconds(settings.timeout_s)} in one process."


def _estimate(times: Sequence[Time]) -> str:
    text = "We report the median of the processes' medians"
    several = sum(len(time.processes) > 1 for time in times)
    if several == len(times):
        return f"{text} with a 95% interval over processes (Student's t on the logarithms of their medians)."
    few = any(len(time.processes) == 1 and time.n < SAMPLES_FOR_95 for time in times)
    ends = f" (of fewer than {SAMPLES_FOR_95} samples their range, which is less sure)" if few else ""
    if several == 0:
        return (
            f"{text} with a 95% interval of order statistics over the samples of its one process{ends}; "
            "what changes from process to process is not in it."
        )
    return (
        f"{text} with a 95% interval: over processes (Student's t on the logarithms of their medians), or of "
        f"order statistics over samples where there is one process only{ends}."
    )


def _checks(rows: Sequence[Measurement]) -> Iterator[str]:
    meters = Counter(row.memory.meter for row in rows if row.memory)
    if meters:
        shown = [
            METERS.get(name, name) + (f" ({format.plural(number, 'row')})" if len(meters) > 1 else "")
            for name, number in sorted(meters.items())
        ]
        yield f"Memory is the peak of one call above its inputs, by {format.listing(shown)}."
    shares = [
        error.rel_l2 / error.tolerance
        for row in rows
        if row.status is Status.OK
        for error in row.errors.values()
        if error.tolerance > 0
    ]
    if shares:
        yield (
            "Every result was compared with the operator's definition in float64, whole or at sampled "
            "positions; the largest relative L2 error of a tensor of a row that counts is "
            f"{format.digits(max(shares))} of the error allowed."
        )


def _machine(rows: Sequence[Measurement]) -> Iterator[str]:
    """Yield what the machine did while it was timed, as far as it was read."""
    read: dict[str, list[float]] = {}
    for row in rows:
        if row.time is None:
            continue
        for name, range_ in row.telemetry.during.items():
            read.setdefault(name, []).extend((range_.low, range_.middle, range_.high))
    shown = []
    for name, (words, unit) in CLOCKS.items():
        if values := read.get(name):
            least, most = (format.count(round(end)) for end in (min(values), max(values)))
            shown.append(f"{words} was {least if least == most else f'{least} to {most}'} {unit}")
    if others := read.get("others_cores"):
        shown.append(f"other processes used {format.digits(median(others))} processors in the median")
    if shown:
        yield f"While it was timed, {format.listing(shown)}."
    if rerun := sum(bool(row.telemetry.rounds_again) for row in rows):
        yield f"Rounds of {format.plural(rerun, 'row')} were disturbed and measured again."


def _outcome(rows: Sequence[Measurement]) -> Iterator[str]:
    ended = Counter(str(row.status) for row in rows)
    listed = [f"{format.count(number)} {status.replace('_', ' ')}" for status, number in ended.most_common()]
    yield f"Of {format.plural(len(rows), 'row')}, {format.listing(listed)}."
    if any(row.status in FAILURES for row in rows):
        yield "Failures are shown as such and enter no mean."
    flags = Counter(flag for row in rows for flag in row.flags)
    if flags:
        listed = [f"{format.plural(number, 'row')} {flag}" for flag, number in sorted(flags.items())]
        yield f"Flagged were {format.listing(listed)}."


def _span(numbers: Sequence[int], one: str, several: str) -> str:
    least, most = min(numbers), max(numbers)
    if least == most:
        return f"{format.count(least)} {one if least == 1 else several}"
    return f"{format.count(least)} to {format.count(most)} {several}"
