"""What a row keeps of a kernel of Triton's, read from one that is compiled for real."""

import pytest
import torch
from ahead_of_time import compile_launch
from test_triton_aot import launch_linear, record_launches

from linbench.measure.kernels import triton_kernel


def test_what_is_read_of_a_kernel_is_there_in_the_installed_triton():
    with pytest.MonkeyPatch.context() as patch:
        launch = record_launches(patch, 90, lambda: launch_linear(torch.bfloat16, 64))[0]
    found = triton_kernel(compile_launch(launch, 90))
    assert found.name == launch.kernel.__name__
    assert "num_warps=" in found.configuration
    assert "CHUNK=" in found.configuration
    assert len(found.hash) == 16
    assert found.shared_bytes > 0
