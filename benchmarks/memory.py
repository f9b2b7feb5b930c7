"""Memory of one forward call against T, of every form in torch of ours that is said to take O(T) of it.

Torch's allocator record gives it (`linbench.measure.memory.measure_memory`), without the inputs: B 1, H 1,
K = V = 16, float32. The exponent is log2 of the ratio of both lengths: 1 is linear, 2 is quadratic.

Run: python benchmarks/memory.py [--T 16384] [name ...]
"""

import argparse
import math

from linbench import Case
from linbench.core.registry import registry
from linbench.measure.call import Call, InputsInLayout
from linbench.measure.memory import measure_memory

LINEAR = ("O(T)", "O(T w)", "O(T log T)")  # time; what one call holds is linear in all of them
FORMS = ("chunk", "recurrent")
DIM = 16


def linear_forms():
    """Return the forms in torch, none of them T x T, of our operators that are linear in T."""
    registry.load()
    ours = [found for found in registry.operators() if type(found).__module__.startswith("linbench_impls")]
    names = {operator.name for operator in ours if operator.complexity in LINEAR}
    return [
        found
        for found in registry.implementations()
        if found.operator in names and found.name.partition("/")[2] in FORMS
    ]


def extra_bytes(form, tokens):
    """Return the most bytes that one forward call holds above its inputs."""
    operator = registry.operator(form.operator)
    case = operator.complete(Case(1, tokens, 1, DIM, DIM))
    call = Call(operator, form, case, InputsInLayout(operator, case))
    return measure_memory(call)[0].extra_bytes


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--T", type=int, default=16384, help="the shorter of both lengths; default: 16384")
    parser.add_argument("names", nargs="*", help="implementations; default: all of them")
    given = parser.parse_args()
    print(f"{'form':<24} {f'T = {given.T}':>12} {f'T = {2 * given.T}':>12} {'ratio':>6} {'exponent':>9}")
    for form in linear_forms():
        if given.names and form.name not in given.names:
            continue
        short, long = (extra_bytes(form, tokens) for tokens in (given.T, 2 * given.T))
        sizes = " ".join(f"{size / 2**20:>8.2f} MiB" for size in (short, long))
        print(f"{form.name:<24} {sizes} {long / short:>6.3f} {math.log2(long / short):>9.3f}", flush=True)


if __name__ == "__main__":
    main()
