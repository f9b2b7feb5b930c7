"""Methods: a paragraph on how a run was measured, from recorded data only."""

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
    "cpu": "wall-clock time of one call",
    "cuda_events_cold": "time between two CUDA events around one call, after a flush of the L2 cache",
    "cuda_graph_hot": "time per call in a CUDA graph that repeats the call on the same inputs",
    "cuda_graph_cold": "time per call in a CUDA graph over copies of the inputs that exceed the L2 cache",
    "cupti": "time from the start of the first kernel of a call to the end of its last, recorded by CUPTI",
}
METERS: Final = {
    "allocator": "the records of PyTorch's allocator",
    "rss": "the resident set size of a fresh process",
}
MODES: Final = {
    "fwd_bwd": "the forward pass and the gradients of all differentiable inputs",
    "prefill": "the forward pass that also returns the final state",
    "decode": "the decoding of one token from a state or a cache",
}
CLOCKS: Final = {
    "cpu_mhz": ("the mean CPU clock", "MHz"),
    "gpu_sm_mhz": ("the SM clock of the GPU", "MHz"),
    "gpu_memory_mhz": ("the memory clock of the GPU", "MHz"),
    "gpu_c": ("the GPU temperature", "degrees Celsius"),
    "gpu_w": ("the GPU power", "W"),
}


def methods(run: Run) -> str:
    """Return a paragraph for a methods section: what was measured, on which machine, and how."""
    parts = (
        _selection(run),
        _setup(run),
        *_timing(run),
        *_checks(run.measurements),
        *_telemetry(run.measurements),
        *_outcome(run.measurements),
    )
    return " ".join(parts) + "\n"


def _selection(run: Run) -> str:
    rows = run.measurements
    supported = sorted({row.implementation for row in rows if row.status is not Status.UNSUPPORTED})
    unsupported = sorted({row.implementation for row in rows} - set(supported))
    names = f" ({', '.join(supported)})" if supported else ""
    axes = []
    for name in ("mode", "dtype", "B", "T", "H", "K", "V"):
        values = list(dict.fromkeys(getattr(row.case, name) for row in rows))
        texts = [format.count(value) for value in sorted(values)] if name in "BTHKV" else values
        axes.append(f"{name} = {', '.join(texts)}")
    seeds = sorted({row.case.seed for row in rows})
    seed = "seed" if len(seeds) == 1 else "seeds"
    modes = [f"{mode} denotes {MODES[mode]}" for mode in MODES if any(row.case.mode == mode for row in rows)]
    return (
        f"We measured {format.plural(len(supported), 'implementation')}{names} "
        f"at {'; '.join(axes)}, on random inputs generated from {seed} {', '.join(map(str, seeds))}."
        + (f" Here, {format.listing(modes)}." if modes else "")
        + (f" {_unsupported(unsupported)}" if unsupported else "")
    )


def _unsupported(names: list[str]) -> str:
    subject, verb = ("implementation", "supports") if len(names) == 1 else ("implementations", "support")
    return f"The {subject} {format.listing(names)} {verb} none of these cases."


def _setup(run: Run) -> str:
    environment, host = run.environment, run.environment.host
    parts = [
        f"{host.cpu} ({format.plural(host.cores, 'core')})",
        f"{format.size(host.memory_bytes)} of memory",
    ]
    parts += [f"{number} {name}" for name, number in Counter(map(_gpu, environment.gpus)).items()]
    software = [host.system, f"Python {host.python}"]
    software += [f"{name} {version}" for name, version in environment.libraries.items()]
    text = f"The hardware was {format.listing(parts)}; the software was {format.listing(software)}."
    if environment.variables:
        settings = [f"{name}={value}" for name, value in sorted(environment.variables.items())]
        subject, verb = ("variable", "was") if len(settings) == 1 else ("variables", "were")
        text += f" The environment {subject} {format.listing(settings)} {verb} set."
    for code in environment.code:
        if code.commit:
            state = ", with uncommitted changes" if code.dirty else ""
            text += f" The code of {code.name} was at commit {code.commit}{state}."
    end = "" if run.finished_at else " and did not finish"
    return f"{text} The run {run.id} started at {run.created_at}{end}."


def _gpu(gpu: Gpu) -> str:
    return f"{gpu.name} ({format.size(gpu.memory_bytes)}, driver {gpu.driver})"


def _timing(run: Run) -> Iterator[str]:
    times = [row.time for row in run.measurements if row.time]
    if not times:
        yield "No time was measured."
        return
    for timer, number in sorted(Counter(time.timer for time in times).items()):
        scope = "" if number == len(times) else f"For {format.plural(number, 'measurement')}, "
        subject = "the timer" if scope else "The timer"
        meaning = f" ({TIMERS[timer]})" if timer in TIMERS else ""
        yield f"{scope}{subject} was {timer}{meaning}."
    processes = _span([len(time.processes) for time in times], "process", "processes")
    samples = _span([time.n for time in times], "sample", "samples")
    yield f"Each reported time comes from {processes} and {samples}."
    yield from _limits(run.plan.settings)
    yield _estimate(times)


def _limits(settings: Settings) -> Iterator[str]:
    """Yield the limits that the plan sets on each measurement."""
    half_width = format.digits(100 * settings.precision)
    yield (
        "The limits of each measurement were "
        f"{_span([settings.processes], 'process', 'processes')}, "
        f"{format.plural(settings.max_samples, 'call')} and {format.seconds(settings.max_time_s)} of timed "
        f"calls; within these, timing continued for at least {format.seconds(settings.min_time_s)} and until "
        f"the half width of the 95% confidence interval was at most {half_width}% of the median."
    )
    limit = format.seconds(settings.timeout_s)
    yield f"Measurements that took more than {limit} in one process were stopped."


def _estimate(times: Sequence[Time]) -> str:
    text = "We report the median of the per-process medians with a 95% confidence interval"
    multiple = sum(len(time.processes) > 1 for time in times)
    if multiple == len(times):
        return f"{text} over processes (Student's t on the logarithms of their medians)."
    few = any(len(time.processes) == 1 and time.n < SAMPLES_FOR_95 for time in times)
    note = f" (for fewer than {SAMPLES_FOR_95} samples, their range, with less than 95% confidence)"
    range_ = note if few else ""
    if multiple == 0:
        return (
            f"{text} from the order statistics of the samples of a single process{range_}; "
            "the interval does not include the variation between processes."
        )
    return (
        f"{text}, over processes (Student's t on the logarithms of their medians) or, for a single process, "
        f"from the order statistics of its samples{range_}."
    )


def _checks(rows: Sequence[Measurement]) -> Iterator[str]:
    meters = Counter(row.memory.meter for row in rows if row.memory)
    if meters:
        sources = [
            METERS.get(name, name) + (f" ({format.plural(number, 'measurement')})" if len(meters) > 1 else "")
            for name, number in sorted(meters.items())
        ]
        yield f"Memory is the peak of one call above its inputs, from {format.listing(sources)}."
    shares = [
        error.rel_l2 / error.tolerance
        for row in rows
        if row.status is Status.OK
        for error in row.errors.values()
        if error.tolerance > 0
    ]
    if shares:
        yield (
            "Every result was compared with the operator's float64 reference, in full or at sampled "
            "positions; the largest relative L2 error of a tensor in a successful measurement is "
            f"{format.digits(max(shares))} times its tolerance."
        )


def _telemetry(rows: Sequence[Measurement]) -> Iterator[str]:
    """Yield the state of the machine during the measurement, as far as it was recorded."""
    readings: dict[str, list[float]] = {}
    for row in rows:
        if row.time is None:
            continue
        for name, range_ in row.telemetry.during.items():
            readings.setdefault(name, []).extend((range_.low, range_.middle, range_.high))
    clauses = []
    for name, (quantity, unit) in CLOCKS.items():
        if values := readings.get(name):
            least, most = (format.count(round(end)) for end in (min(values), max(values)))
            clauses.append(f"{quantity} was {least if least == most else f'{least} to {most}'} {unit}")
    if cores := readings.get("others_cores"):
        clauses.append(f"other processes used a median of {format.digits(median(cores))} CPU cores")
    if clauses:
        yield f"During the measurement, {format.listing(clauses)}."
    if rerun := sum(bool(row.telemetry.rounds_again) for row in rows):
        yield f"In {format.plural(rerun, 'measurement')}, disturbed rounds were repeated."


def _outcome(rows: Sequence[Measurement]) -> Iterator[str]:
    by_status = Counter(str(row.status) for row in rows)
    counts = [f"{format.count(number)} {name.replace('_', ' ')}" for name, number in by_status.most_common()]
    yield (
        f"The run has {format.plural(len(rows), 'measurement')}, one per implementation and case: "
        f"{format.listing(counts)}."
    )
    if any(row.status in FAILURES for row in rows):
        yield "Failures are reported as such and are excluded from all means."
    flags = Counter(flag for row in rows for flag in row.flags)
    if flags:
        clauses = [
            f"{format.count(number)} {'is' if number == 1 else 'are'} flagged {flag}"
            for flag, number in sorted(flags.items())
        ]
        yield f"Of all measurements, {format.listing(clauses)}."


def _span(numbers: Sequence[int], singular: str, plural: str) -> str:
    least, most = min(numbers), max(numbers)
    if least == most:
        return f"{format.count(least)} {singular if least == 1 else plural}"
    return f"{format.count(least)} to {format.count(most)} {plural}"
