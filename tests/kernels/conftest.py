"""Fixtures to compile and emulate the CUDA C++ kernels."""

from collections.abc import Iterator

import pytest
import torch
from cuda_linear import SCHEDULES, EmulatedDevice

from linbench_kernels.cuda import linear_attention


@pytest.fixture(scope="module")
def cubins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[pytest.MonkeyPatch]:
    """Uses an empty cache of cubins."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LINBENCH_CACHE_DIR", str(tmp_path_factory.mktemp("cubins")))
        yield patch


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Limits torch to one thread: the tensors are too small to gain from more."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def emulated_device(tmp_path_factory: pytest.TempPathFactory) -> EmulatedDevice:
    return EmulatedDevice(tmp_path_factory.mktemp("emulated"))


@pytest.fixture(params=SCHEDULES, ids=["ascending-late", "descending-early"])
def emulated(
    request: pytest.FixtureRequest, emulated_device: EmulatedDevice, monkeypatch: pytest.MonkeyPatch
) -> Iterator[EmulatedDevice]:
    """Runs the launcher on the emulated device with one multiprocessor; uninitialised memory is NaN."""
    emulated_device.schedule = request.param
    emulated_device.launches.clear()
    monkeypatch.setattr(linear_attention, "launch", emulated_device.launch)
    monkeypatch.setattr(linear_attention, "_require_device", lambda _: None)
    monkeypatch.setattr(linear_attention, "_multiprocessors", lambda _: 1)
    torch.use_deterministic_algorithms(True)
    yield emulated_device
    torch.use_deterministic_algorithms(False)
