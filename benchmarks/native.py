"""linear/native beside its peers on the CPU, and beside the least time that the work can take.

Each contestant has one turn a round, in an order that turns round, and each round gives a ratio: of the
peer's time to linear/native's. The median of these is printed, with a 95% interval of it. A turn is as many
calls as fill TURN_SECONDS, so that a short call does not start from caches that another has filled. One
thread is timed by its CPU time, which other work on the machine disturbs less; more by wall time.

Run: python benchmarks/native.py [--threads 1 2] [--T 512 ...]; fast-transformers takes part if installed
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
SECONDS = 7.0  # of the rounds of a length and mode
LEAST_ROUNDS = 6
CACHED = 8192


def scan(q, k, v):
    """The best form in torch: a loop over chunks, the state kept by baddbmm. [B, H, T, D]."""
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


PEERS = {
    "linear/chunk": linbench.get("linear/chunk").function("fwd"),
    "scan, baddbmm": scan,
    "linear/naive": linbench.get("linear/naive").function("fwd"),
    "softmax/flash": linbench.get("softmax/flash").function("fwd"),
}
if importlib.util.find_spec("fast_transformers"):
    PEERS["fast-transformers"] = fast_transformers


def call(function, layout, T, backward):
    """Return a call of a function on inputs in its own layout, contiguous."""
    shape = (1, T, HEADS, DIM) if layout == "BTHD" else (1, HEADS, T, DIM)
    q, k, v, upstream = (torch.randn(shape) for _ in range(4))
    if not backward:
        return lambda: function(q, k, v)
    leaves = [x.requires_grad_() for x in (q, k, v)]
    return lambda: torch.autograd.grad(function(*leaves), leaves, upstream)


def product_and_copy(T):
    """Return the two calls that a floor is made of: a product of 1024 x 1024 matrices, a copy of q and k."""
    matrix, out = torch.randn(1024, 1024), torch.empty(1024, 1024)
    source = torch.randn(2 * T * HEADS * DIM)
    copy = torch.empty_like(source)
    return {
        "product": lambda: torch.mm(matrix, matrix, out=out),
        "copy": lambda: copy.copy_(source),
    }


def floor(T, product, copy):
    """Return the least time of a forward pass.

    The larger of two: 16 D bytes a token and head, at the bandwidth of a copy of as much; and the 4 D^2
    operations of the recurrent form, the fewest there are, at the rate of the product.
    """
    return max(T * HEADS * 4 * DIM**2 * product / (2 * 1024**3), copy)


def rounds(calls):
    """Return the seconds of a call in each round, by name."""
    clock = time.thread_time if torch.get_num_threads() == 1 else time.perf_counter

    def turn(name, count):
        start = clock()
        for _ in range(count):
            calls[name]()
        return (clock() - start) / count

    for name in calls:  # to warm up
        turn(name, 1)
    counts = {name: max(1, round(TURN_SECONDS / max(turn(name, 1), 1e-6))) for name in calls}
    names, found, started = list(calls), {name: [] for name in calls}, time.perf_counter()
    while len(found[names[0]]) < LEAST_ROUNDS or time.perf_counter() - started < SECONDS:
        for name in names:
            found[name].append(turn(name, counts[name]))
        names = [*names[1:], names[0]]
    return found


def report(mode, T, peer, mine, other, ratios):
    low, high = median_interval(ratios)
    times = f"{1e3 * median(mine):>10.3f} {1e3 * median(other):>10.3f}"
    threads = torch.get_num_threads()
    print(
        f"{threads:>7} {mode:<8} {T:>6} {peer:<18} {times} {median(ratios):>7.2f} [{low:.2f}, {high:.2f}]",
        flush=True,
    )


def compare(mode, T, calls):
    """Print the ratio of each call's time to that of the first."""
    taken = rounds(calls)
    if "product" in taken:
        pairs = zip(taken.pop("product"), taken.pop("copy"), strict=True)
        taken["floor"] = [floor(T, *pair) for pair in pairs]
    (_, mine), *others = taken.items()
    for peer, other in others:
        if peer == "floor":  # the other way round: how often it fits into linear/native's time
            report(mode, T, "of the floor", mine, other, [a / b for a, b in zip(mine, other, strict=True)])
        else:
            report(mode, T, peer, mine, other, [b / a for a, b in zip(mine, other, strict=True)])


def train(T, backward):
    native = linbench.get("linear/native").function("fwd")
    calls = {"linear/native": call(native, "BTHD", T, backward)}
    calls |= {
        name: call(function, "BHTD", T, backward)
        for name, function in PEERS.items()
        if name not in QUADRATIC or T <= QUADRATIC_UP_TO
    }
    compare("fwd_bwd" if backward else "fwd", T, calls if backward else calls | product_and_copy(T))


def decode():
    native, softmax = (linbench.get(name).function("decode") for name in ("linear/native", "softmax/flash"))
    rows = [torch.randn(1, HEADS, 1, DIM) for _ in range(3)]
    state = torch.randn(1, HEADS, DIM, DIM), CACHED * torch.rand(1, HEADS, DIM)
    caches = tuple(torch.randn(1, HEADS, CACHED, DIM) for _ in range(2))
    mine = [x.transpose(1, 2).contiguous() for x in rows]
    calls = {
        "linear/native": lambda: native(*mine, state=state),
        "softmax/flash": lambda: softmax(*rows, state=caches),
    }
    with torch.no_grad():
        compare("decode", CACHED, calls)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="default: 1 2")
    parser.add_argument("--T", type=int, nargs="+", default=LENGTHS, help="default: 512 to 16384")
    given = parser.parse_args()
    print(f"B1 H{HEADS} D{DIM} float32; medians in ms; ratio: peer / native, [95% interval of its median]")
    print(f"{'threads':>7} {'mode':<8} {'T':>6} {'peer':<18} {'native':>10} {'peer':>10} {'ratio':>7}")
    for threads in given.threads:
        torch.set_num_threads(threads)
        for T in given.T:
            train(T, backward=False)
            train(T, backward=True)
        decode()


if __name__ == "__main__":
    main()
