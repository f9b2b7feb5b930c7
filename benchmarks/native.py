"""linear/native beside its peers on the CPU, in turns, and beside the least time that the work can take.

One thread is timed by its CPU time, which other work on the machine disturbs less; two threads by wall time.

Run: python benchmarks/native.py [T ...]; pytorch-fast-transformers takes part if it is installed
"""

import importlib.util
import sys
import time
from statistics import median

import torch

import linbench

HEADS, DIM = 8, 64
LENGTHS = (512, 1024, 2048, 4096, 8192, 16384)
QUADRATIC_UP_TO = 2048  # linear/naive holds T x T scores of every head
CHUNK = 64
PAIR_SECONDS = 1.0
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
    "linear/chunk": (linbench.get("linear/chunk").function("fwd"), "BHTD"),
    "linear/naive": (linbench.get("linear/naive").function("fwd"), "BHTD"),
    "scan, baddbmm": (scan, "BHTD"),
    "softmax/flash": (linbench.get("softmax/flash").function("fwd"), "BHTD"),
}
if importlib.util.find_spec("fast_transformers"):
    PEERS["fast-transformers"] = (fast_transformers, "BHTD")


def call(function, layout, T, backward):
    """Return a call of a function on inputs in its own layout, contiguous."""
    shape = (1, T, HEADS, DIM) if layout == "BTHD" else (1, HEADS, T, DIM)
    q, k, v, upstream = (torch.randn(shape) for _ in range(4))
    if not backward:
        return lambda: function(q, k, v)
    leaves = [x.requires_grad_() for x in (q, k, v)]
    return lambda: torch.autograd.grad(function(*leaves), leaves, upstream)


def seconds(function):
    clock = time.thread_time if torch.get_num_threads() == 1 else time.perf_counter
    start = clock()
    function()
    return clock() - start


def paired(mine, other):
    """Return the medians of both, and of their ratio over turns A B B A."""
    spent = max(sum(seconds(function) for _ in range(2) for function in (mine, other)) / 2, 1e-5)
    pairs = []
    for _ in range(max(4, min(200, int(PAIR_SECONDS / spent / 2)))):
        a, b, c, d = (seconds(function) for function in (mine, other, other, mine))
        pairs += [(a, b), (d, c)]
    ones, others = zip(*pairs, strict=True)
    return median(ones), median(others), median(b / a for a, b in pairs)


def floor(T, mine):
    """Return the least time of a forward pass, and the median of a call over it.

    The larger of two: 16 D bytes a token and head, at the bandwidth of a copy of as much; and the 4 D^2
    operations of the recurrent form, the fewest there are, at the rate of a product of 1024 x 1024 matrices.
    """
    matrix, out = torch.randn(1024, 1024), torch.empty(1024, 1024)
    source = torch.randn(2 * T * HEADS * DIM)
    copy = torch.empty_like(source)
    with torch.no_grad():
        samples = [
            (
                seconds(lambda: torch.mm(matrix, matrix, out=out)),
                seconds(lambda: copy.copy_(source)),
                seconds(mine),
            )
            for _ in range(30)
        ]
    products, copies, calls = (median(x) for x in zip(*samples, strict=True))
    flop = T * HEADS * 4 * DIM**2 * products / (2 * 1024**3)
    return max(flop, copies), flop, copies, calls


def decode(threads):
    native, softmax = linbench.get("linear/native"), linbench.get("softmax/flash")
    row = [torch.randn(1, 1, HEADS, DIM) for _ in range(3)]
    state = torch.randn(1, HEADS, DIM, DIM), CACHED * torch.rand(1, HEADS, DIM)
    caches = tuple(torch.randn(1, HEADS, CACHED, DIM) for _ in range(2))
    rows = [x.transpose(1, 2).contiguous() for x in row]
    one, other = native.function("decode"), softmax.function("decode")
    with torch.no_grad():
        a, b, ratio = paired(lambda: one(*row, state=state), lambda: other(*rows, state=caches))
    report(threads, "decode", CACHED, a, "softmax/flash", b, ratio)


def report(threads, mode, T, mine, peer, other, ratio):
    row = f"{threads:>7} {mode:<8} {T:>6} {1e3 * mine:>10.3f} {peer:<18} {1e3 * other:>9.3f} {ratio:>7.2f}"
    print(row, flush=True)


def main():
    lengths = [int(x) for x in sys.argv[1:]] or LENGTHS
    native = linbench.get("linear/native").function("fwd")
    print(
        f"B1 H{HEADS} D{DIM} float32; medians in ms; ratio: of the peer's time to linear/native's, in turns"
    )
    print(f"{'threads':>7} {'mode':<8} {'T':>6} {'native ms':>10} {'peer':<18} {'peer ms':>9} {'ratio':>7}")
    for threads in (1, 2):
        torch.set_num_threads(threads)
        for T in lengths:
            mine = call(native, "BTHD", T, backward=False)
            least, flop, copies, taken = floor(T, mine)
            report(threads, "fwd", T, taken, "floor", least, least / taken)
            bounds = f"FLOP {1e3 * flop:.3f} ms, bytes {1e3 * copies:.3f} ms"
            print(f"{'':>23} native is {taken / least:.2f} of the floor: {bounds}")
            for backward in (False, True):
                mine = call(native, "BTHD", T, backward)
                for name, (function, layout) in PEERS.items():
                    if name == "linear/naive" and T > QUADRATIC_UP_TO:
                        continue
                    a, b, ratio = paired(mine, call(function, layout, T, backward))
                    report(threads, "fwd_bwd" if backward else "fwd", T, a, name, b, ratio)
        decode(threads)


if __name__ == "__main__":
    main()
