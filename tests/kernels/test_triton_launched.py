"""The metadata of a Triton kernel that a row records, read from a compiled kernel."""

from itertools import cycle

import pytest
import torch
from ahead_of_time import compile_launch
from test_triton_aot import launch_linear, record_launches

from linbench.measure.kernels import triton_kernel
from linbench_kernels.triton import autotune
from linbench_kernels.triton.linear_attention import linear_attention
from linbench_kernels.triton.linear_attention_plan import candidates, tiles


def test_the_installed_triton_has_the_metadata_of_a_kernel():
    with pytest.MonkeyPatch.context() as patch:
        launch = record_launches(patch, 90, lambda: launch_linear(torch.bfloat16, 64))[0]
    kernel = triton_kernel(compile_launch(launch, 90))
    assert kernel.name == launch.kernel.__name__
    assert "num_warps=" in kernel.configuration
    assert "CHUNK=" in kernel.configuration
    assert len(kernel.hash) == 16
    assert kernel.shared_bytes > 0


def test_the_configuration_of_a_kernel_contains_the_tuned_tiles(monkeypatch: pytest.MonkeyPatch):
    rows = [torch.zeros(1, 64, 1, 64, dtype=torch.bfloat16)] * 3
    monkeypatch.setenv(autotune.SWITCH, "1")
    monkeypatch.setattr(autotune, "_choices", {})
    tiles_to_time = candidates(tiles(64, 64, torch.bfloat16, hopper=True), 64, 2, 227 * 1024)
    seconds = cycle([2.0, 1.0, *[3.0] * (len(tiles_to_time) - 2)])
    monkeypatch.setattr(autotune, "seconds_of", lambda _: next(seconds))
    (launch,) = record_launches(monkeypatch, 90, lambda: linear_attention(*rows))
    (choice,) = autotune.choices().values()
    assert choice.tile == tiles_to_time[1] != tiles_to_time[0]
    kernel = triton_kernel(compile_launch(launch, 90))
    assert f"num_stages={choice.tile.num_stages}" in kernel.configuration.split()
