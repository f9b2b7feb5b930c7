"""Where the CUDA C++ kernels are compiled and emulated in tests."""

from collections.abc import Iterator

import pytest
import torch
from cuda_linear import SCHEDULES, EmulatedDevice

from linbench_kernels.cuda import linear_attention


@pytest.fixture(scope="module")
def cubins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[pytest.MonkeyPatch]:
    """An empty cache of cubins."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LINBENCH_CACHE_DIR", str(tmp_path_factory.mktemp("cubins")))
        yield patch


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """The tensors are small; handing them to more threads takes longer than the work."""
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
    """The launcher on the emulated device of one multiprocessor, where memory not yet written is NaN."""
    emulated_device.schedule = request.param
    emulated_device.launched.clear()
    monkeypatch.setattr(linear_attention, "launch", emulated_device.launch)
    monkeypatch.setattr(linear_attention, "_require_device", lambda _: None)
    monkeypatch.setattr(linear_attention, "_multiprocessors", lambda _: 1)
    torch.use_deterministic_algorithms(True)
    yield emulated_device
    torch.use_deterministic_algorithms(False)
