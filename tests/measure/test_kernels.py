"""The kernels that a call launched, by stand-ins for Triton's compiler."""

import sys
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from linbench.core.implementation import Implementation
from linbench.core.measurement import Kernel
from linbench.measure.kernels import TRITON_COMPILER, launched, triton_kernel


class CompiledKernel:
    """What Triton's looks like where it matters."""

    def __init__(self, name, code, constants=None):
        self.kernel = code
        self.metadata = SimpleNamespace(name=name, num_warps=4, num_stages=3, shared=1024)
        self.src = SimpleNamespace(
            fn=SimpleNamespace(arg_names=["q", "CHUNK", "KIND"]),
            constants=constants or {(1,): 64, (2,): "none"},
        )
        self.n_regs, self.n_spills = 128, 0

    def launch_metadata(self, grid, stream, *arguments):
        return (grid, stream, *arguments)


def implementation(**more):
    return Implementation("linear/x", "linear", "BTHD", {}, **more)


def test_each_kernel_of_triton_is_named_once_with_what_was_chosen(monkeypatch):
    monkeypatch.setitem(sys.modules, TRITON_COMPILER, SimpleNamespace(CompiledKernel=CompiledKernel))
    before = CompiledKernel.launch_metadata
    states, forward = CompiledKernel("states", b"one"), CompiledKernel("forward", b"two")
    with launched(implementation()) as found:
        for kernel in (states, forward, forward):
            assert kernel.launch_metadata((1,), 0, "q") == ((1,), 0, "q")
    assert CompiledKernel.launch_metadata is before
    assert [kernel.name for kernel in found] == ["states", "forward"]
    assert found[0].configuration == "num_warps=4 num_stages=3 CHUNK=64 KIND=none"
    assert (found[0].registers, found[0].spills, found[0].shared_bytes) == (128, 0, 1024)
    assert found[0].hash != found[1].hash
    assert triton_kernel(CompiledKernel("states", b"one")).hash == found[0].hash


def test_a_call_that_fails_leaves_triton_as_it_was(monkeypatch):
    monkeypatch.setitem(sys.modules, TRITON_COMPILER, SimpleNamespace(CompiledKernel=CompiledKernel))
    before = CompiledKernel.launch_metadata
    with pytest.raises(ZeroDivisionError), launched(implementation()):
        raise ZeroDivisionError
    assert CompiledKernel.launch_metadata is before


def test_an_implementation_tells_of_its_own(monkeypatch):
    monkeypatch.delitem(sys.modules, TRITON_COMPILER, raising=False)
    own = Kernel("mine", "C=64", "ab")

    @contextmanager
    def launches():
        seen = []
        yield seen
        seen += [own, own]

    with launched(implementation(launches=launches)) as found:
        assert found == []
    assert found == [own]
    with launched(implementation()) as found:
        pass
    assert found == []
