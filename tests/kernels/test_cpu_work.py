"""The operations that the C++ kernels do, counted where they multiply and add, against what is declared."""

import ctypes
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from declared import check, modes, sees_an_error_of_5_percent

from linbench.core.case import Case
from linbench.core.registry import Registry
from linbench_kernels.cpu import calls
from linbench_kernels.cpu import compile as cpp

NAMES = ("linear/native", "retention/native", "lightning/native", "simple_gla/native")
CASES = [Case(1, 128, 2, 64, 64), Case(1, 135, 1, 48, 80)]

pytestmark = pytest.mark.skipif(cpp.compiler() is None, reason="there is no C++ compiler")


class Counting:
    """The kernels with vectors of any width, emulated where this CPU lacks them, and with a counter."""

    def __init__(self, variant: str, folder: Path) -> None:
        library = folder / f"{variant}.so"
        flags = ("-std=c++17", "-O0", "-fPIC", "-shared", "-pthread", "-Wno-psabi")
        counted = ("-include", str(Path(__file__).with_name("counted.h")))
        width = f"-DVECTOR_FLOATS={cpp.VECTOR_FLOATS[variant]}"
        command = [*(cpp.compiler() or ()), *flags, *counted, width, str(calls.SOURCE), "-o", str(library)]
        subprocess.run(command, check=True)
        self.library = ctypes.CDLL(str(library))
        self.multiply_adds = ctypes.c_int64.in_dll(self.library, "multiply_adds")

    def count(self, call):
        before = self.multiply_adds.value
        returned = call()
        return returned, 2 * (self.multiply_adds.value - before)


@pytest.fixture(scope="module", params=["AVX512", "DEFAULT"])  # the widest vectors and the narrowest
def counting(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Counting]:
    made = Counting(request.param, tmp_path_factory.mktemp("counted"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cpp, "variant", lambda: request.param)
        patch.setattr(calls, "_function", lambda name: getattr(made.library, f"linear_attention_{name}"))
        patch.setattr(calls, "threads", lambda: 1)
        yield made


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("case", [one for case in CASES for one in modes(case)], ids=str)
def test_the_kernels_do_what_is_declared(loaded: Registry, name: str, case: Case, counting: Counting) -> None:
    check(loaded, name, case, counting.count)


@pytest.mark.parametrize("case", modes(Case(1, 300, 1, 64, 64))[:3], ids=str)
def test_segments_do_what_is_declared(
    loaded: Registry, case: Case, counting: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = loaded.implementation("linear/native").flops(case)
    monkeypatch.setattr(calls, "segment_length", lambda *_: 100)
    assert loaded.implementation("linear/native").flops(case) > 1.1 * whole
    check(loaded, "linear/native", case, counting.count)


@pytest.mark.parametrize("name", NAMES)
def test_an_error_of_5_percent_is_seen(loaded: Registry, name: str, counting: Counting) -> None:
    for case in modes(CASES[0])[2:]:
        sees_an_error_of_5_percent(loaded, name, case, counting.count)
