"""Memory of one forward call against T, for every torch form of linbench_impls that declares O(T) memory.

It is measured by torch's allocator record (`linbench.measure.memory.measure_memory`), without the inputs, at
B 1, H 1, K = V = 16, float32. The exponent is log2 of the ratio at twice the length: 1 is linear, 2 is
quadratic.

Run: python benchmarks/memory.py [--T 16384] [name ...]
"""

import argparse
import math

from linbench import Case
from linbench.core.registry import registry
from linbench.measure.call import Call, InputsInLayout
from linbench.measure.memory import measure_memory

LINEAR = ("O(T)", "O(T w)", "O(T log T)")  # time complexity; the memory of a call is linear in all of them
FORMS = ("chunk", "recurrent")
DIM = 16


def linear_forms():
    """Return the torch forms without a T x T matrix of the linbench_impls operators that are linear in T."""
    registry.load()
    names = {
        operator.name
        for operator in registry.operators()
        if type(operator).__module__.startswith("linbench_impls") and operator.complexity in LINEAR
    }
    return [
        implementation
        for implementation in registry.implementations()
        if implementation.operator in names and implementation.name.partition("/")[2] in FORMS
    ]


def extra_bytes(form, tokens):
    """Return the peak memory of one forward call above its inputs, bytes."""
    operator = registry.operator(form.operator)
    case = operator.complete(Case(1, tokens, 1, DIM, DIM))
    call = Call(operator, form, case, InputsInLayout(operator, case))
    return measure_memory(call)[0].extra_bytes


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--T", type=int, default=16384, help="the shorter length; default: 16384")
    parser.add_argument("names", nargs="*", help="implementations; default: all")
    arguments = parser.parse_args()
    print(
        f"{'form':<24} {f'T = {arguments.T}':>12} {f'T = {2 * arguments.T}':>12} {'ratio':>6} {'exponent':>9}"
    )
    for form in linear_forms():
        if arguments.names and form.name not in arguments.names:
            continue
        short, long = (extra_bytes(form, tokens) for tokens in (arguments.T, 2 * arguments.T))
        sizes = " ".join(f"{size / 2**20:>8.2f} MiB" for size in (short, long))
        print(f"{form.name:<24} {sizes} {long / short:>6.3f} {math.log2(long / short):>9.3f}", flush=True)


if __name__ == "__main__":
    main()
