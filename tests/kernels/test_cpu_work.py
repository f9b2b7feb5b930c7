"""Compares the number of multiply-adds of the C++ kernels with the declared number of operations."""

import ctypes
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from declared import check, check_sensitivity, modes

from linbench.core.case import Case
from linbench.core.registry import Registry
from linbench_kernels.cpu import calls
from linbench_kernels.cpu import compile as cpp

NAMES = ("linear/native", "retention/native", "lightning/native", "simple_gla/native")
CASES = [Case(1, 128, 2, 64, 64), Case(1, 135, 1, 48, 80)]

pytestmark = pytest.mark.skipif(cpp.compiler() is None, reason="no C++ compiler is installed")


class CountingLibrary:
    """The kernels with a counter, for any vector width; wider vectors than the CPU's are emulated."""

    def __init__(self, variant: str, folder: Path) -> None:
        library = folder / f"{variant}.so"
        flags = ("-std=c++17", "-O0", "-fPIC", "-shared", "-pthread", "-Wno-psabi")
        counter = ("-include", str(Path(__file__).with_name("counted.h")))
        width = f"-DVECTOR_FLOATS={cpp.VECTOR_FLOATS[variant]}"
        command = [*(cpp.compiler() or ()), *flags, *counter, width, str(calls.SOURCE), "-o", str(library)]
        subprocess.run(command, check=True)
        self.library = ctypes.CDLL(str(library))
        self.multiply_adds = ctypes.c_int64.in_dll(self.library, "multiply_adds")

    def count(self, call):
        before = self.multiply_adds.value
        returned = call()
        return returned, 2 * (self.multiply_adds.value - before)


@pytest.fixture(scope="module", params=["AVX512", "DEFAULT"])  # the widest vectors and the narrowest
def counting(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[CountingLibrary]:
    counting = CountingLibrary(request.param, tmp_path_factory.mktemp("counting"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cpp, "variant", lambda: request.param)
        patch.setattr(calls, "_function", lambda name: getattr(counting.library, f"linear_attention_{name}"))
        patch.setattr(calls, "threads", lambda: 1)
        yield counting


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("case", [variant for case in CASES for variant in modes(case)], ids=str)
def test_operations_match_the_declaration(
    loaded: Registry, name: str, case: Case, counting: CountingLibrary
) -> None:
    check(loaded, name, case, counting.count)


@pytest.mark.parametrize("case", modes(Case(1, 300, 1, 64, 64))[:3], ids=str)
def test_operations_of_segments_match_the_declaration(
    loaded: Registry, case: Case, counting: CountingLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_segments = loaded.implementation("linear/native").flops(case)
    monkeypatch.setattr(calls, "segment_length", lambda *_: 100)
    assert loaded.implementation("linear/native").flops(case) > 1.1 * without_segments
    check(loaded, "linear/native", case, counting.count)


@pytest.mark.parametrize("name", NAMES)
def test_an_error_of_5_percent_is_detected(loaded: Registry, name: str, counting: CountingLibrary) -> None:
    for case in modes(CASES[0])[2:]:
        check_sensitivity(loaded, name, case, counting.count)
