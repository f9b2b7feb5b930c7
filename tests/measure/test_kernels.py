"""The kernels that a call launches, with a stand-in for Triton's compiler."""

import sys
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from linbench.core.implementation import Implementation
from linbench.core.measurement import Kernel
from linbench.measure.kernels import TRITON_COMPILER, record_launches, triton_kernel


class CompiledKernel:
    """The used parts of Triton's class."""

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


def implementation(**fields):
    return Implementation("linear/x", "linear", "BTHD", {}, **fields)


def test_each_triton_kernel_is_listed_once_with_its_configuration(monkeypatch):
    monkeypatch.setitem(sys.modules, TRITON_COMPILER, SimpleNamespace(CompiledKernel=CompiledKernel))
    before = CompiledKernel.launch_metadata
    states, forward = CompiledKernel("states", b"one"), CompiledKernel("forward", b"two")
    with record_launches(implementation()) as kernels:
        for kernel in (states, forward, forward):
            assert kernel.launch_metadata((1,), 0, "q") == ((1,), 0, "q")
    assert CompiledKernel.launch_metadata is before
    assert [kernel.name for kernel in kernels] == ["states", "forward"]
    assert kernels[0].configuration == "num_warps=4 num_stages=3 CHUNK=64 KIND=none"
    assert (kernels[0].registers, kernels[0].spills, kernels[0].shared_bytes) == (128, 0, 1024)
    assert kernels[0].hash != kernels[1].hash
    assert triton_kernel(CompiledKernel("states", b"one")).hash == kernels[0].hash


def test_triton_is_restored_after_a_call_that_fails(monkeypatch):
    monkeypatch.setitem(sys.modules, TRITON_COMPILER, SimpleNamespace(CompiledKernel=CompiledKernel))
    before = CompiledKernel.launch_metadata
    with pytest.raises(ZeroDivisionError), record_launches(implementation()):
        raise ZeroDivisionError
    assert CompiledKernel.launch_metadata is before


def test_an_implementation_reports_its_own_kernels(monkeypatch):
    monkeypatch.delitem(sys.modules, TRITON_COMPILER, raising=False)
    kernel = Kernel("mine", "C=64", "ab")

    @contextmanager
    def launches():
        kernels = []
        yield kernels
        kernels += [kernel, kernel]

    with record_launches(implementation(launches=launches)) as kernels:
        assert kernels == []
    assert kernels == [kernel]
    with record_launches(implementation()) as kernels:
        pass
    assert kernels == []
