"""linear/native against other implementations on the CPU, and against a lower bound of its time.

Each implementation has one turn per round, in rotating order, and each round yields the ratio of the other
implementation's time to linear/native's. The median ratio is printed with its 95% interval. A turn has as
many calls as fill TURN_SECONDS, so that a short call does not start with caches that another implementation
filled. With one thread the CPU time is measured, which other work on the machine disturbs less; with more
threads, the wall time.

Run: python benchmarks/native.py [--threads 1 2] [--T 512 ...]; fast-transformers is included if installed
"""

import argparse
import importlib.util
import time
from statistics import median

import torch

import linbench
from linbench.statistics.interval import median_interval

HEADS, DIM = 8, 64
LENGTHS = (512, 1024, 2048, 4096, 8192, 16384)
QUADRATIC_UP_TO = 2048
QUADRATIC = ("linear/naive", "softmax/flash")
CHUNK = 64
TURN_SECONDS = 0.01
SECONDS = 7.0  # per length and mode
LEAST_ROUNDS = 6
CACHED = 8192


def scan(q, k, v):
    """The fastest torch form: a loop over chunks that updates the state with baddbmm. [B, H, T, D]."""
    q, k = (torch.nn.functional.elu(x) + 1 for x in (q, k))
    q, k, v = (x.flatten(0, 1) for x in (q, k, v))
    v = torch.cat([v, torch.ones_like(v[..., :1])], -1)  # the last column is the denominator
    S = v.new_zeros(v.shape[0], q.shape[-1], v.shape[-1])
    outputs = []
    for query, key, value in zip(q.split(CHUNK, 1), k.split(CHUNK, 1), v.split(CHUNK, 1), strict=True):
        scores = (query @ key.transpose(1, 2)).tril()
        outputs.append(torch.baddbmm(scores @ value, query, S))
        S = torch.baddbmm(S, key.transpose(1, 2), value)
    o = torch.cat(outputs, 1)
    return (o[..., :-1] / (o[..., -1:] + 1e-6)).unflatten(0, (1, HEADS))


def fast_transformers(q, k, v):
    """pytorch-fast-transformers' causal product and its denominator. [B, H, T, D]."""
    from fast_transformers.causal_product import causal_dot_product

    q, k = (torch.nn.functional.elu(x) + 1 for x in (q, k))
    denominators = torch.einsum("bhtd,bhtd->bht", q, k.cumsum(2)) + 1e-6
    return causal_dot_product(q, k, v) / denominators[..., None]


OTHER_IMPLEMENTATIONS = {
    "linear/chunk": linbench.get("linear/chunk").function("fwd"),
    "scan, baddbmm": scan,
    "linear/naive": linbench.get("linear/naive").function("fwd"),
    "softmax/flash": linbench.get("softmax/flash").function("fwd"),
}
if importlib.util.find_spec("fast_transformers"):
    OTHER_IMPLEMENTATIONS["fast-transformers"] = fast_transformers


def call(function, layout, T, backward):
    """Return a call of a function with contiguous inputs in its layout."""
    shape = (1, T, HEADS, DIM) if layout == "BTHD" else (1, HEADS, T, DIM)
    q, k, v, upstream = (torch.randn(shape) for _ in range(4))
    if not backward:
        return lambda: function(q, k, v)
    leaves = [x.requires_grad_() for x in (q, k, v)]
    return lambda: torch.autograd.grad(function(*leaves), leaves, upstream)


def product_and_copy(T):
    """Return the two calls for the lower bound: a product of 1024 x 1024 matrices and a copy of q and k."""
    matrix, result = torch.randn(1024, 1024), torch.empty(1024, 1024)
    source = torch.randn(2 * T * HEADS * DIM)
    copy = torch.empty_like(source)
    return {
        "product": lambda: torch.mm(matrix, matrix, out=result),
        "copy": lambda: copy.copy_(source),
    }


def floor(T, product, copy):
    """Return a lower bound of the time of a forward pass.

    It is the larger of two times: that of 16 D bytes per token and head at the bandwidth of a copy of
    the same size, and that of the 4 D^2 operations of the recurrent form, the minimum, at the product's rate.
    """
    return max(T * HEADS * 4 * DIM**2 * product / (2 * 1024**3), copy)


def rounds(calls):
    """Return the time of a call in each round, seconds, by name."""
    clock = time.thread_time if torch.get_num_threads() == 1 else time.perf_counter

    def turn(name, count):
        start = clock()
        for _ in range(count):
            calls[name]()
        return (clock() - start) / count

    for name in calls:  # warm-up
        turn(name, 1)
    counts = {name: max(1, round(TURN_SECONDS / max(turn(name, 1), 1e-6))) for name in calls}
    names, times_s, start = list(calls), {name: [] for name in calls}, time.perf_counter()
    while len(times_s[names[0]]) < LEAST_ROUNDS or time.perf_counter() - start < SECONDS:
        for name in names:
            times_s[name].append(turn(name, counts[name]))
        names = [*names[1:], names[0]]
    return times_s


def report(mode, T, name, native_s, time_s, ratios):
    low, high = median_interval(ratios)
    times = f"{1e3 * median(native_s):>10.3f} {1e3 * median(time_s):>10.3f}"
    threads = torch.get_num_threads()
    print(
        f"{threads:>7} {mode:<8} {T:>6} {name:<18} {times} {median(ratios):>7.2f} [{low:.2f}, {high:.2f}]",
        flush=True,
    )


def compare(mode, T, calls):
    """Print the ratio of each call's time to that of the first."""
    times_s = rounds(calls)
    if "product" in times_s:
        pairs = zip(times_s.pop("product"), times_s.pop("copy"), strict=True)
        times_s["floor"] = [floor(T, *pair) for pair in pairs]
    native_s = times_s.pop("linear/native")
    for name, time_s in times_s.items():
        if name == "floor":  # inverted: linear/native's time in units of the lower bound
            ratios = [native / bound for native, bound in zip(native_s, time_s, strict=True)]
            report(mode, T, "native / floor", native_s, time_s, ratios)
        else:
            ratios = [other / native for native, other in zip(native_s, time_s, strict=True)]
            report(mode, T, name, native_s, time_s, ratios)


def train(T, backward):
    native = linbench.get("linear/native").function("fwd")
    calls = {"linear/native": call(native, "BTHD", T, backward)}
    calls |= {
        name: call(function, "BHTD", T, backward)
        for name, function in OTHER_IMPLEMENTATIONS.items()
        if name not in QUADRATIC or T <= QUADRATIC_UP_TO
    }
    compare("fwd_bwd" if backward else "fwd", T, calls if backward else calls | product_and_copy(T))


def decode():
    native, softmax = (linbench.get(name).function("decode") for name in ("linear/native", "softmax/flash"))
    rows = [torch.randn(1, HEADS, 1, DIM) for _ in range(3)]
    state = torch.randn(1, HEADS, DIM, DIM), CACHED * torch.rand(1, HEADS, DIM)
    caches = tuple(torch.randn(1, HEADS, CACHED, DIM) for _ in range(2))
    native_rows = [x.transpose(1, 2).contiguous() for x in rows]
    calls = {
        "linear/native": lambda: native(*native_rows, state=state),
        "softmax/flash": lambda: softmax(*rows, state=caches),
    }
    with torch.no_grad():
        compare("decode", CACHED, calls)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="default: 1 2")
    parser.add_argument("--T", type=int, nargs="+", default=LENGTHS, help="default: 512 to 16384")
    arguments = parser.parse_args()
    print(f"B1 H{HEADS} D{DIM} float32; medians in ms; ratio: other / native, [95% interval of its median]")
    print(f"{'threads':>7} {'mode':<8} {'T':>6} {'other':<18} {'native':>10} {'other':>10} {'ratio':>7}")
    for threads in arguments.threads:
        torch.set_num_threads(threads)
        for T in arguments.T:
            train(T, backward=False)
            train(T, backward=True)
        decode()


if __name__ == "__main__":
    main()
