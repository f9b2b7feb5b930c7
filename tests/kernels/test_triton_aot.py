"""Every Triton kernel compiles for real GPUs within their registers and shared memory; see ahead_of_time."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import triton
from ahead_of_time import Launch, OperationLog, check, compile_launch, record
from torch import Tensor

from linbench_kernels.triton import decayed_attention as decayed
from linbench_kernels.triton import decayed_attention_calls as decayed_calls
from linbench_kernels.triton import linear_attention as linear
from linbench_kernels.triton import linear_attention_calls as linear_calls
from linbench_kernels.triton.linear_attention_plan import candidates, max_shared_bytes, tiles

pytestmark = pytest.mark.skipif(
    triton.knobs.runtime.interpret, reason="kernels are interpreted, not compiled"
)

bfloat16, float32 = torch.bfloat16, torch.float32
B, T, H = 2, 130, 3
LINEAR = {
    "segment_states",
    "scan_segments",
    "forward",
    "decode",
    "dot_rows",
    "segment_adjoints",
    "query_gradient",
    "key_gradient",
    "value_gradient",
}
DECAYED = {
    "segment_sums",
    "scan_segments",
    "forward",
    "decode",
    "query_gradient",
    "key_gradient",
    "value_gradient",
    "decay_gradient",
}
# Stores to local memory; in float32 IEEE products hold whole rows in registers.
LINEAR_SPILLS = {bfloat16: 0, float32: 4}
DECAYED_SPILLS = {bfloat16: 0, float32: 40}


def launch_linear(dtype: torch.dtype, size: int) -> None:
    """Launches forward, backward and decode, segments and state included."""
    q, k, v = (torch.zeros(B, T, H, size, dtype=dtype, requires_grad=True) for _ in range(3))
    state = (torch.zeros(B, H, size, size, requires_grad=True), torch.zeros(B, H, size, requires_grad=True))
    o = linear.linear_attention(q, k, v, state=state)
    o.backward(torch.zeros_like(o))
    with torch.no_grad():
        linear.linear_attention_decode(q[:, :1], k[:, :1], v[:, :1], state)


def launch_decayed(dtype: torch.dtype, size: int) -> None:
    """Launches forward, backward and decode, segments and state included, with and without dg."""
    q, k, v = (torch.zeros(B, T, H, size, dtype=dtype, requires_grad=True) for _ in range(3))
    S = torch.zeros(B, H, size, size, requires_grad=True)
    for log_decay in (torch.zeros(B, T, H, requires_grad=True), torch.zeros(H)):
        o = decayed.decayed_attention(q, k, v, log_decay, state=S)
        o.backward(torch.zeros_like(o))
    with torch.no_grad():
        decayed.decayed_attention_decode(q[:, :1], k[:, :1], v[:, :1], log_decay, S)


def launch_varlen(module: Any, size: int) -> None:
    """Launches prefill and backward of three varlen sequences on tensors without values."""
    new = partial(torch.zeros, device="meta", requires_grad=True)
    q, k, v = (new(1, T, H, size, dtype=bfloat16) for _ in range(3))
    S, z = new(3, H, size, size), new(3, H, size)
    cu_seqlens = torch.zeros(4, dtype=torch.int32, device="meta")
    with pytest.raises(RuntimeError, match="meta"):
        cu_seqlens[0].item()  # like any operation that reads a value
    if module is linear:
        o, final = linear.linear_attention_prefill(q, k, v, state=(S, z), cu_seqlens=cu_seqlens)
        results: tuple[Tensor, ...] = (o, *final)
    else:
        results = decayed.decayed_attention_prefill(q, k, v, new(1, T, H), state=S, cu_seqlens=cu_seqlens)
    torch.autograd.backward(results, [torch.zeros_like(x) for x in results])


def record_launches(
    monkeypatch: pytest.MonkeyPatch, capability: int, launch: Callable[[], None], module: Any = linear
) -> list[Launch]:
    """Returns the launches of `launch` for CPU tensors, in segments, with the tiles of a device."""
    launcher = linear_calls if module is linear else decayed_calls
    monkeypatch.setattr(module, "_check", lambda *_: None)
    monkeypatch.setattr(launcher, "segment_length", lambda *_: 64)
    monkeypatch.setattr(
        launcher, "tiles", lambda *sizes, hopper: tiles(*sizes, hopper=hopper and capability >= 90)
    )
    monkeypatch.setattr(decayed_calls, "DRIFT", 64)
    return record(launch)


@pytest.mark.parametrize(
    ("capability", "dtype", "size"),
    [
        pytest.param(90, bfloat16, 64, marks=pytest.mark.whole),
        (90, bfloat16, 128),
        (90, float32, 64),
        (80, bfloat16, 128),
    ],
)
def test_linear_attention_compiles_within_registers_and_shared_memory(
    capability: int, dtype: torch.dtype, size: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    launches = record_launches(monkeypatch, capability, lambda: launch_linear(dtype, size))
    assert {launch.name for launch in launches} == LINEAR
    for launch in launches:
        check(launch, capability, LINEAR_SPILLS[dtype], tmp_path)


@pytest.mark.parametrize(
    ("capability", "dtype", "size"),
    [
        pytest.param(90, bfloat16, 64, marks=pytest.mark.whole),
        (90, bfloat16, 128),
        (90, float32, 64),
        (80, bfloat16, 128),
    ],
)
def test_attention_with_decay_compiles_within_registers_and_shared_memory(
    capability: int, dtype: torch.dtype, size: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    launches = record_launches(monkeypatch, capability, lambda: launch_decayed(dtype, size), decayed)
    assert {launch.name for launch in launches} == DECAYED
    for launch in launches:
        check(launch, capability, DECAYED_SPILLS[dtype], tmp_path)


@pytest.mark.parametrize("size", [64, pytest.param(128, marks=pytest.mark.whole)])
@pytest.mark.parametrize("module", [linear, decayed])
def test_kernels_of_varlen_sequences_compile_and_the_host_reads_no_value(
    module: Any, size: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    launches = record_launches(monkeypatch, 90, lambda: launch_varlen(module, size), module)
    assert {launch.name for launch in launches} == (LINEAR if module is linear else DECAYED) - {"decode"}
    for launch in launches:
        check(launch, 90, 0, tmp_path)


def test_candidate_tiles_need_at_most_the_estimated_shared_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = values = max(
        candidates(tiles(128, 128, bfloat16, hopper=True), 128, 2, 227 * 1024),
        key=lambda tile: max_shared_bytes(tile, 2),
    )
    monkeypatch.setattr(linear_calls, "tune", lambda plan, *_: plan._replace(keys=keys, values=values))
    launches = record_launches(monkeypatch, 90, lambda: launch_linear(bfloat16, 128))
    for launch in launches:
        if launch.name in ("forward", "query_gradient"):
            assert launch.settings["num_stages"] == keys.num_stages
            needed = compile_launch(launch, 90).metadata.shared
            assert 100 * 1024 < needed <= max_shared_bytes(keys, 2) <= 227 * 1024


@pytest.mark.parametrize("module", [linear, decayed])
def test_decode_is_one_kernel_and_allocates_only_its_output(
    module: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Therefore a CUDA graph can capture it, and the state is updated in place."""
    monkeypatch.setattr(module, "_check", lambda *_: None)
    q, k, v = (torch.zeros(B, 1, H, 64) for _ in range(3))
    S, z, log_decay = torch.zeros(B, H, 64, 64), torch.zeros(B, H, 64), torch.zeros(H)

    def decode() -> None:
        with OperationLog() as log:
            if module is linear:
                linear.linear_attention_decode(q, k, v, (S, z))
            else:
                decayed.decayed_attention_decode(q, k, v, log_decay, S)
        assert log.operations == [torch.ops.aten.new_empty.default]

    (launch,) = record(decode)
    assert launch.name == "decode"
    # All warps with copies of z must read it before one stores it; the interpreter has no warps.
    if module is linear:
        after_barrier = compile_launch(launch, 90).asm["ttir"].partition("barrier")[2]
        assert after_barrier.count("tt.store") == 3, "z, and one tile each of S and o"


@pytest.mark.parametrize("attend", [linear.linear_attention, decayed.decayed_attention])
def test_without_a_gpu_the_error_names_the_device(attend: Callable[..., Any]) -> None:
    rows = [torch.zeros(1, 16, 1, 16)] * 3
    gates = [torch.zeros(1)] if attend is decayed.decayed_attention else []
    with pytest.raises(RuntimeError, match="needs a CUDA device; q is on cpu"):
        attend(*rows, *gates)
