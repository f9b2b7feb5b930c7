"""The CUDA C++ kernels of linear attention, forward and decode: compilation, results, errors."""

import itertools
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from cuda_disassembly import instructions
from cuda_linear import (
    FORWARD_KERNELS,
    SHARED_LIMIT,
    TOLERANCE,
    EmulatedDevice,
    bfloat16,
    error,
    float16,
    float32,
    inputs,
    name,
    needs_cuda_core,
    needs_disassembler,
    needs_gxx,
    reference,
    slow_variants,
)
from torch import Tensor

from linbench_kernels.cuda import compile as nvrtc
from linbench_kernels.cuda import launch as launches
from linbench_kernels.cuda import linear_attention as cuda
from linbench_kernels.cuda import linear_attention_plan as plan
from linbench_kernels.cuda.linear_attention import State
from linbench_kernels.cuda.linear_attention_plan import Variant

pytestmark = pytest.mark.usefixtures("one_thread")


def assert_close(actual: tuple[Tensor, State], expected: tuple[Tensor, State], dtype: torch.dtype) -> None:
    (o, (S, z)), (expected_o, (expected_S, expected_z)) = actual, expected
    assert o.dtype == dtype
    assert S.dtype == z.dtype == float32
    errors = error(o, expected_o), error(S, expected_S), error(z, expected_z)
    assert max(errors) <= TOLERANCE[dtype], f"errors of o, S, z: {errors}"


# ---- Compilation


SMALL = [
    Variant(64, 64, bfloat16, "elu1", True),
    Variant(48, 80, bfloat16, "elu1", False),
    Variant(16, 16, float16, "identity", False),
    Variant(48, 80, float32, "elu1", True),
]
LARGEST = [
    Variant(128, 128, bfloat16, "elu1", True),
    Variant(112, 96, bfloat16, "relu", True),
    Variant(128, 128, float16, "elu1", True),
    Variant(128, 128, float32, "elu1", True),
]


@needs_cuda_core
@pytest.mark.parametrize(
    ("variant", "arch"),
    [(LARGEST[0], arch) for arch in SHARED_LIMIT]
    + [(variant, "sm_90") for variant in (*LARGEST[1:], *SMALL)]
    + [
        pytest.param(variant, arch, marks=pytest.mark.whole)
        for variant in LARGEST[1:]
        for arch in ("sm_80", "sm_100")
    ],
    ids=lambda value: value if isinstance(value, str) else name(value),
)
@pytest.mark.usefixtures("cubins")
def test_kernels_compile_without_spills_and_fit_on_a_multiprocessor(variant: Variant, arch: str) -> None:
    kernels = variant.forward.compile(arch).kernels
    assert set(kernels) == {f"linear_attention_{name}" for name in FORWARD_KERNELS}
    assert {name: kernel.spill_bytes for name, kernel in kernels.items()} == dict.fromkeys(kernels, 0)
    forward = kernels["linear_attention_forward"]
    assert variant.untransposed.shared_bytes + forward.static_shared_bytes <= SHARED_LIMIT[arch]
    assert forward.registers * variant.untransposed.threads <= 65536
    assert 0 < kernels["linear_attention_decode"].static_shared_bytes <= 48 * 1024


@needs_cuda_core
@needs_disassembler
@pytest.mark.parametrize(
    ("variant", "instruction"),
    [(LARGEST[0], "HMMA.16816.F32.BF16"), (LARGEST[2], "HMMA.16816.F32 "), (LARGEST[3], "FFMA")],
    ids=["bfloat16", "float16", "float32"],
)
@pytest.mark.usefixtures("cubins")
def test_products_use_the_instruction_of_the_dtype(
    variant: Variant, instruction: str, tmp_path: Path
) -> None:
    code = instructions(variant.forward.compile("sm_90"), tmp_path)
    sass = code["linear_attention_forward"]
    assert instruction in sass
    assert "LDGSTS" in sass  # asynchronous copies
    assert ("HMMA" in sass) == (variant.dtype != float32)


@needs_cuda_core
@pytest.mark.usefixtures("cubins")
def test_the_record_of_a_launch_describes_the_compiled_kernel() -> None:
    variant = Variant(64, 64, torch.bfloat16, "elu1", True)
    cubin = variant.forward.compile("sm_90")
    launch = launches.describe(
        "linear_attention_forward", variant.forward, cubin, variant.untransposed.shared_bytes
    )
    assert launch.name == "linear_attention_forward"
    assert "HEAD_K=64" in launch.configuration
    assert launch.resources == cubin.kernels["linear_attention_forward"]
    assert launch.shared_bytes >= variant.untransposed.shared_bytes
    sm_80_cubin = variant.forward.compile("sm_80")
    assert launches.describe("linear_attention_forward", variant.forward, sm_80_cubin, 0).hash != launch.hash
    assert launches.describe("linear_attention_forward", variant.forward, cubin, 0).hash == launch.hash


class AnyObject:
    """Has every attribute and accepts every call."""

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def __getattr__(self, _: str) -> "AnyObject":
        return AnyObject()

    def __call__(self, *_: object, **__: object) -> "AnyObject":
        return AnyObject()


def test_records_of_launches_can_be_nested(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launches, "cuda_core", AnyObject)
    monkeypatch.setattr(launches, "_load", lambda name, *_: (None, name))
    monkeypatch.setattr(torch.cuda, "device", lambda _: nullcontext())
    monkeypatch.setattr(torch.cuda, "current_stream", AnyObject)
    program = Variant(64, 64, torch.bfloat16, "elu1", True).forward
    sizes = {"device": torch.device("cuda", 0), "grid": (1, 1), "threads": 1, "shared_bytes": 0}
    launch = partial(launches.launch, program=program, **sizes)
    with launches.recorded_launches() as outer:
        launch("first")
        with launches.recorded_launches() as inner:
            launch("second")
    launch("third")
    assert (outer, inner) == (["first", "second"], ["second"])


@needs_cuda_core
def test_a_cubin_is_compiled_only_once(cubins: pytest.MonkeyPatch) -> None:
    variant = SMALL[2]
    first = variant.forward.compile("sm_90")
    with cubins.context() as patch:
        patch.setattr(nvrtc.cuda_core(), "Program", None)
        assert variant.forward.compile("sm_90") == first
        with pytest.raises(TypeError):
            replace(variant, normalize=True).forward.compile("sm_90")


# ---- Results, on the CPU


EMULATED = [
    Variant(64, 64, float32, "elu1", True),
    Variant(48, 80, float32, "relu", False),
    Variant(16, 96, float32, "identity", False),
    Variant(64, 64, float16, "elu1", True),
    Variant(96, 112, float16, "relu", True),
    Variant(64, 64, bfloat16, "elu1", True),
    Variant(128, 128, bfloat16, "elu1", True),
    Variant(80, 16, bfloat16, "elu1", False),
    Variant(16, 48, bfloat16, "identity", False),
]


@needs_gxx
@pytest.mark.parametrize("T", [1, 17, 64, 65, 130])
@pytest.mark.parametrize("variant", slow_variants(EMULATED, in_every_run=(0, 2, 3, 4, 6, 7)))
@pytest.mark.usefixtures("emulated")
def test_prefill_matches_the_recurrence(variant: Variant, T: int) -> None:
    options = {"feature_map": variant.feature_map, "normalize": variant.normalize}
    qkv, state = inputs(2, T, 2, variant.K, variant.V, variant.dtype)
    copies = [x.clone() for x in (*qkv, *state)]
    start = None if T == 65 else state
    actual = cuda.linear_attention_prefill(*qkv, **options, state=start)
    assert_close(actual, reference(*qkv, **options, state=start), variant.dtype)
    if T == 17:
        assert torch.equal(cuda.linear_attention(*qkv, **options, state=start), actual[0])
    assert all(map(torch.equal, (*qkv, *state), copies)), "an input was modified"


@needs_gxx
@pytest.mark.parametrize("variant", slow_variants(EMULATED, in_every_run=(0, 2, 3, 4, 6, 7)))
@pytest.mark.usefixtures("emulated")
def test_decode_matches_one_step_of_the_recurrence_in_place(variant: Variant) -> None:
    options = {"feature_map": variant.feature_map, "normalize": variant.normalize}
    qkv, state = inputs(2, 1, 3, variant.K, variant.V, variant.dtype)
    copies = [x.clone() for x in qkv]
    expected = reference(*qkv, **options, state=tuple(x.clone() for x in state))
    o, (S, z) = cuda.linear_attention_decode(*qkv, state, **options)
    assert S is state[0]
    assert z is state[1]
    assert_close((o, (S, z)), expected, variant.dtype)
    assert max(map(error, (S, z), expected[1])) < 1e-6
    assert all(map(torch.equal, qkv, copies)), "an input was modified"


@needs_gxx
@pytest.mark.parametrize("with_state", [False, True])
@pytest.mark.parametrize("variant", [EMULATED[0], EMULATED[6]], ids=name)
def test_segments_match_the_recurrence(
    variant: Variant, with_state: bool, emulated: EmulatedDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cuda, "_multiprocessors", lambda _: 8)
    monkeypatch.setattr(plan, "MIN_SEGMENT", 64)
    qkv, state = inputs(1, 200, 1, variant.K, variant.V, variant.dtype)
    start = state if with_state else None
    actual = cuda.linear_attention_prefill(*qkv, state=start)
    assert emulated.launches == ["segment_states", "scan", "forward"]
    assert_close(actual, reference(*qkv, "elu1", True, state=start), variant.dtype)


@needs_gxx
@pytest.mark.usefixtures("emulated")
def test_a_state_beyond_float16_does_not_overflow() -> None:
    variant = EMULATED[3]
    qkv, (S, z) = inputs(1, 17, 1, variant.K, variant.V, float16)
    state = (1e6 * S, 1e6 * z)
    assert_close(
        cuda.linear_attention_prefill(*qkv, state=state), reference(*qkv, "elu1", True, state=state), float16
    )


@needs_gxx
@pytest.mark.usefixtures("emulated")
def test_strided_and_misaligned_inputs() -> None:
    variant = EMULATED[0]
    (q, k, v), _ = inputs(2, 17, 3, variant.K, variant.V, float32)
    expected = cuda.linear_attention(q, k, v)
    strided = q.transpose(1, 2).contiguous().transpose(1, 2)
    misaligned = torch.empty(k.numel() + 1)[1:].view_as(k).copy_(k)
    assert misaligned.data_ptr() % 16
    assert torch.equal(cuda.linear_attention(strided, misaligned, v), expected)


@pytest.mark.parametrize(
    ("blocks", "T", "expected"),
    [(132, 10**6, 10**6), (131, 1 << 20, 1 << 19), (1, 1023, 1023), (1, 1025, 576), (8, 1 << 17, 4032)],
)
def test_segments_are_used_only_to_fill_the_device(blocks: int, T: int, expected: int) -> None:
    assert plan.segment_length(blocks, T, multiprocessors=132, chunk=64) == expected


# ---- Rejected arguments


@pytest.mark.parametrize(("K", "V"), [(8, 64), (64, 72), (144, 64), (0, 16)])
def test_unsupported_head_dims(K: int, V: int) -> None:
    supported = "supported: multiples of 16 from 16 to 128"
    reason = f"the CUDA kernel does not support K = {K} and V = {V}; {supported}"
    assert plan.unsupported_reason(K, V, float32) == reason
    if K:
        with pytest.raises(ValueError, match=f"^{reason}$"):
            cuda.linear_attention(*inputs(1, 2, 1, K, V, float32)[0])


def test_unsupported_dtype() -> None:
    reason = plan.unsupported_reason(64, 64, torch.float64)
    assert reason == "the CUDA kernel does not support float64; supported: float32, float16 and bfloat16"
    with pytest.raises(ValueError, match=reason):
        cuda.linear_attention(*inputs(1, 2, 1, 64, 64, torch.float64)[0])


def test_all_multiples_of_16_are_supported() -> None:
    dims = range(16, 129, 16)
    for K, V, dtype in itertools.product(dims, dims, TOLERANCE):
        assert plan.unsupported_reason(K, V, dtype) is None
        assert Variant(K, V, dtype, "elu1", True).untransposed.shared_bytes <= SHARED_LIMIT["sm_80"]


def test_cpu_tensors_are_rejected() -> None:
    qkv, state = inputs(1, 1, 1, 16, 16, float32)
    for call in (cuda.linear_attention, cuda.linear_attention_prefill):
        with pytest.raises(RuntimeError, match="needs all tensors on one CUDA device; they are on cpu"):
            call(*qkv)
    with pytest.raises(RuntimeError, match="needs all tensors on one CUDA device; they are on cpu"):
        cuda.linear_attention_decode(*qkv, state)


def test_errors_name_the_invalid_argument() -> None:
    (q, k, v), (S, z) = inputs(1, 2, 1, 16, 32, float32)
    with pytest.raises(ValueError, match="feature_map is 'exp'; allowed: elu1, relu, identity"):
        cuda.linear_attention(q, k, v, feature_map="exp")
    with pytest.raises(ValueError, match=r"q \[1, 2, 1, 16\], k \[1, 1, 1, 16\]"):
        cuda.linear_attention(q, k[:, :1], v)
    with pytest.raises(ValueError, match="with no empty axis"):
        cuda.linear_attention(q[:, :0], k[:, :0], v[:, :0])
    with pytest.raises(ValueError, match="allowed: the same dtype for all"):
        cuda.linear_attention(q, k, v.half())
    with pytest.raises(ValueError, match=r"allowed: S \[1, 1, 16, 32\], z \[1, 1, 16\], both float32"):
        cuda.linear_attention(q, k, v, state=(S.half(), z))


@needs_gxx
@pytest.mark.usefixtures("emulated")
def test_decode_rejects_more_than_one_token() -> None:
    qkv, state = inputs(1, 2, 1, 64, 64, float32)
    with pytest.raises(ValueError, match="only T = 1; q has T = 2"):
        cuda.linear_attention_decode(*qkv, state)


def test_decode_rejects_a_state_that_it_cannot_update_in_place() -> None:
    qkv, (S, z) = inputs(1, 1, 2, 32, 64, float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cuda, "_require_device", lambda _: None)
        with pytest.raises(ValueError, match=r"S has strides \[4096, 2048, 1, 32\].*pass S.contiguous\(\)"):
            cuda.linear_attention_decode(*qkv, (S.mT.contiguous().mT, z))
        with pytest.raises(ValueError, match=r"z has strides .*pass z.contiguous\(\)"):
            cuda.linear_attention_decode(*qkv, (S, z.mT.contiguous().mT))
        with pytest.raises(ValueError, match=r"S is 4 bytes past a multiple of 16; pass S.clone\(\)"):
            cuda.linear_attention_decode(*qkv, (torch.empty(S.numel() + 1)[1:].view_as(S).copy_(S), z))
        with pytest.raises(RuntimeError, match=r"decode .* has no gradient"):
            cuda.linear_attention_decode(*qkv, (S, z.requires_grad_()))


# ---- The same on a GPU


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("T", [1, 65, 2100])
@pytest.mark.parametrize("variant", [*EMULATED, *SMALL, *LARGEST], ids=name)
def test_on_a_gpu(variant: Variant, T: int) -> None:
    options = {"feature_map": variant.feature_map, "normalize": variant.normalize}
    qkv, state = inputs(2, T, 3, variant.K, variant.V, variant.dtype, "cuda")
    actual = cuda.linear_attention_prefill(*qkv, **options, state=state)
    assert_close(actual, reference(*qkv, **options, state=state), variant.dtype)
    last = tuple(x[:, -1:] for x in qkv)
    expected = reference(*last, **options, state=tuple(x.clone() for x in actual[1]))
    step = cuda.linear_attention_decode(*last, actual[1], **options)
    assert_close(step, expected, variant.dtype)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_cuda_graph_captures_decode() -> None:
    variant = EMULATED[6]
    qkv, (S, z) = inputs(2, 1, 3, variant.K, variant.V, variant.dtype, "cuda")
    expected = reference(*qkv, "elu1", True, state=(S.clone(), z.clone()))
    cuda.linear_attention_decode(*qkv, (S.clone(), z.clone()))  # compiles
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        o, _ = cuda.linear_attention_decode(*qkv, (S, z))
    graph.replay()
    assert_close((o, (S, z)), expected, variant.dtype)
