"""What a row keeps of a kernel of Triton's, read from one that is compiled for real."""

from itertools import cycle

import pytest
import torch
from ahead_of_time import compile_launch
from test_triton_aot import launch_linear, record_launches

from linbench.measure.kernels import triton_kernel
from linbench_kernels.triton import autotune
from linbench_kernels.triton.linear_attention import linear_attention
from linbench_kernels.triton.linear_attention_plan import candidates, tiles


def test_what_is_read_of_a_kernel_is_there_in_the_installed_triton():
    with pytest.MonkeyPatch.context() as patch:
        launch = record_launches(patch, 90, lambda: launch_linear(torch.bfloat16, 64))[0]
    found = triton_kernel(compile_launch(launch, 90))
    assert found.name == launch.kernel.__name__
    assert "num_warps=" in found.configuration
    assert "CHUNK=" in found.configuration
    assert len(found.hash) == 16
    assert found.shared_bytes > 0


def test_what_a_row_keeps_names_the_tiles_that_were_chosen_by_time(monkeypatch: pytest.MonkeyPatch):
    rows = [torch.zeros(1, 64, 1, 64, dtype=torch.bfloat16)] * 3
    monkeypatch.setenv(autotune.SWITCH, "1")
    monkeypatch.setattr(autotune, "_choices", {})
    tried = candidates(tiles(64, 64, torch.bfloat16, hopper=True), 64, 2, 227 * 1024)
    seconds = cycle([2.0, 1.0, *[3.0] * (len(tried) - 2)])
    monkeypatch.setattr(autotune, "seconds_of", lambda _: next(seconds))
    (launch,) = record_launches(monkeypatch, 90, lambda: linear_attention(*rows))
    (chosen,) = autotune.choices().values()
    assert chosen.tile == tried[1] != tried[0]
    found = triton_kernel(compile_launch(launch, 90))
    assert f"num_stages={chosen.tile.num_stages}" in found.configuration.split()
