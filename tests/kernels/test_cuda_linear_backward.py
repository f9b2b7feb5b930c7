"""The gradients of the CUDA C++ kernels of linear attention: compilation and results."""

import itertools
import sys
from pathlib import Path

import pytest
import torch
from cuda_disassembly import instructions
from cuda_linear import (
    BACKWARD_KERNELS,
    SHARED_LIMIT,
    TOLERANCE,
    EmulatedDevice,
    bfloat16,
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

from linbench_kernels.cuda import linear_attention as cuda
from linbench_kernels.cuda import linear_attention_plan as plan
from linbench_kernels.cuda import report
from linbench_kernels.cuda.linear_attention_plan import Variant

pytestmark = pytest.mark.usefixtures("one_thread")
NAMES = ("dq", "dk", "dv", "dS", "dz")


def gradients(
    results: tuple[Tensor, ...], tensors: list[Tensor], upstream: list[Tensor]
) -> dict[str, Tensor]:
    """Returns the gradients of `tensors` by name; `upstream` are the gradients of the results."""
    grad_outputs = [g.to(x.dtype) for g, x in zip(upstream, results, strict=False)]
    values = torch.autograd.grad(results[: len(upstream)], tensors, grad_outputs, materialize_grads=True)
    return dict(zip(NAMES, values, strict=False))  # without a state, the first three


def check(
    variant: Variant,
    T: int,
    *,
    with_state: bool,
    final: bool,
    size: float = 1.0,
    loss_scale: float = 1.0,
    device: str = "cpu",
) -> None:
    """Compares all gradients with those of the recurrence in float64; `size` scales the state."""
    qkv, state = inputs(1, T, 2, variant.K, variant.V, variant.dtype, device)
    if variant.feature_map == "identity" and variant.normalize:
        qkv = (qkv[0].abs(), qkv[1].abs(), qkv[2])  # denominators of both signs would come close to zero
    tensors = [x.detach().requires_grad_() for x in (*qkv, *(size * x for x in state if with_state))]
    options = {"feature_map": variant.feature_map, "normalize": variant.normalize}
    start = tuple(tensors[3:]) or None
    random = torch.Generator().manual_seed(T + 1)

    o, (S, z) = cuda.linear_attention_prefill(*tensors[:3], **options, state=start)
    results = (o, S, z)
    upstream = [
        torch.randn(x.shape, generator=random).to(device) for x in (results if final else results[:1])
    ]
    upstream = [(loss_scale * x).to(y.dtype) for x, y in zip(upstream, results, strict=False)]
    actual = gradients(results, tensors, upstream)

    exact = [x.detach().double().requires_grad_() for x in tensors]
    o, (S, z) = reference(*exact[:3], **options, state=tuple(exact[3:]) or None)
    expected = gradients((o, S, z), exact, upstream)
    errors = {
        name: float((actual[name].double() - x).norm() / x.norm().clamp_min(1e-9))
        for name, x in expected.items()
    }
    assert max(errors.values()) <= TOLERANCE[variant.dtype], errors


# ---- Compilation

HALF = Variant(64, 64, float16, "elu1", True)
LARGEST = [Variant(128, 128, bfloat16, "elu1", True), Variant(128, 128, float32, "elu1", True)]


@needs_cuda_core
@pytest.mark.parametrize(
    ("variant", "arch"),
    [(HALF, "sm_80"), (HALF, "sm_90"), (HALF, "sm_100"), (LARGEST[0], "sm_100"), (LARGEST[1], "sm_80")],
    ids=lambda value: value if isinstance(value, str) else name(value),
)
@pytest.mark.usefixtures("cubins")
def test_kernels_compile_without_spills_and_fit_on_a_multiprocessor(variant: Variant, arch: str) -> None:
    kernels = variant.backward.compile(arch).kernels
    assert set(kernels) == {f"linear_attention_{name}" for name in BACKWARD_KERNELS}
    assert {name: kernel.spill_bytes for name, kernel in kernels.items()} == dict.fromkeys(kernels, 0)
    for kernel_name in BACKWARD_KERNELS:
        kernel = kernels[f"linear_attention_{kernel_name}"]
        threads, shared_bytes = variant.blocks[kernel_name]
        assert shared_bytes + kernel.static_shared_bytes <= SHARED_LIMIT[arch]
        assert kernel.registers * threads <= 65536


@needs_cuda_core
@needs_disassembler
@pytest.mark.parametrize(
    ("variant", "arch", "product"),
    [(HALF, "sm_90", "HMMA.16816.F32 "), (LARGEST[0], "sm_100", "HMMA.16816.F32.BF16")],
    ids=["float16", "bfloat16"],
)
@pytest.mark.usefixtures("cubins")
def test_products_use_tensor_cores_and_asynchronous_copies(
    variant: Variant, arch: str, product: str, tmp_path: Path
) -> None:
    code = instructions(variant.backward.compile(arch), tmp_path)
    for kernel in ("query_gradient", "key_gradient", "value_gradient", "segment_adjoints"):
        assert product in code[f"linear_attention_{kernel}"]
        assert "LDGSTS.E.BYPASS.128" in code[f"linear_attention_{kernel}"]  # asynchronous copies


@needs_cuda_core
@pytest.mark.usefixtures("cubins")
def test_the_report_has_one_row_per_kernel(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    dims = ("--K", "64", "--dtype", "float16", "--arch", "sm_90")
    monkeypatch.setattr(sys, "argv", ["report", *dims])
    report.main()
    rows = [line.split("|") for line in capsys.readouterr().out.splitlines() if line.startswith("| ")][1:]
    assert [row[1].strip() for row in rows] == list(HALF.blocks)
    kernels = HALF.backward.compile("sm_90").kernels
    (row,) = (row for row in rows if "key_gradient" in row[1])
    assert int(row[-2]) == kernels["linear_attention_key_gradient"].registers
    monkeypatch.setattr(sys, "argv", ["report", "--K", "8"])
    with pytest.raises(SystemExit):
        report.main()
    assert "K = 8 and V = 8; supported: multiples of 16 from 16 to 128" in capsys.readouterr().err


def test_all_multiples_of_16_fit() -> None:
    dims = range(16, 129, 16)
    for K, V, dtype in itertools.product(dims, dims, TOLERANCE):
        assert Variant(K, V, dtype, "elu1", True).transposed.shared_bytes <= SHARED_LIMIT["sm_80"]


# ---- Results, on the CPU

EMULATED = [
    Variant(48, 80, float32, "elu1", True),
    Variant(48, 80, float32, "identity", False),
    Variant(32, 48, float16, "relu", True),
    Variant(32, 48, float16, "elu1", False),
    Variant(128, 32, bfloat16, "elu1", True),
    Variant(16, 96, bfloat16, "identity", True),
    Variant(48, 64, bfloat16, "relu", False),
]


@needs_gxx
@pytest.mark.parametrize("T", [17, 64, 130])
@pytest.mark.parametrize("variant", slow_variants(EMULATED, in_every_run=(0, 2, 4, 5)))
@pytest.mark.usefixtures("emulated")
def test_gradients_match_the_recurrence(variant: Variant, T: int) -> None:
    check(variant, T, with_state=T != 64, final=T == 130)


@needs_gxx
@pytest.mark.parametrize("with_state", [False, True])
@pytest.mark.parametrize("variant", [EMULATED[0], EMULATED[2], EMULATED[4]], ids=name)
def test_segments_match_the_recurrence(
    variant: Variant, with_state: bool, emulated: EmulatedDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cuda, "_multiprocessors", lambda _: 8)
    monkeypatch.setattr(plan, "MIN_SEGMENT", 64)
    check(variant, 130, with_state=with_state, final=with_state)
    assert emulated.launches == [
        *("segment_states", "scan", "forward"),
        *("deltas", "segment_states", "scan", "query_gradient"),
        *("segment_adjoints", "scan_adjoints", "key_gradient", "value_gradient"),
    ]


@needs_gxx
@pytest.mark.usefixtures("emulated")
def test_states_and_weights_outside_the_range_of_float16() -> None:
    """As after a million tokens: a state of 1e6 is above 65504, a weight of 1e-8 below the smallest number.

    The loss is scaled, as usual in float16, so that the gradients themselves are in range.
    """
    check(EMULATED[2], 17, with_state=True, final=False, size=1e6, loss_scale=1e3)


@needs_gxx
@pytest.mark.usefixtures("emulated")
def test_gradients_of_only_the_final_state() -> None:
    variant = EMULATED[0]
    qkv, _ = inputs(1, 17, 2, variant.K, variant.V, variant.dtype)
    tensors = [x.requires_grad_() for x in qkv]
    exact = [x.detach().double().requires_grad_() for x in qkv]
    z = cuda.linear_attention_prefill(*tensors)[1][1]
    expected_z = reference(*exact, "elu1", True)[1][1]
    actual = torch.autograd.grad(z.square().sum(), tensors)
    expected = torch.autograd.grad(expected_z.square().sum(), exact, materialize_grads=True)
    for x, y in zip(actual, expected, strict=True):
        torch.testing.assert_close(x.double(), y, rtol=1e-5, atol=1e-5)


@needs_gxx
@pytest.mark.usefixtures("emulated")
def test_strided_inputs_and_an_upstream_gradient_without_strides() -> None:
    variant = EMULATED[0]
    qkv, _ = inputs(1, 17, 2, variant.K, variant.V, variant.dtype)
    dense = [x.requires_grad_() for x in qkv]
    strided = [x.detach().transpose(1, 2).contiguous().transpose(1, 2).requires_grad_() for x in qkv]
    assert not any(x.is_contiguous() for x in strided)
    g = torch.ones(1, 17, 2, 1).expand(-1, -1, -1, variant.V)
    expected = torch.autograd.grad(cuda.linear_attention(*dense), dense, g.contiguous())
    assert all(map(torch.equal, torch.autograd.grad(cuda.linear_attention(*strided), strided, g), expected))


@needs_gxx
@pytest.mark.usefixtures("emulated")
def test_only_one_number_per_row_is_saved_besides_inputs_and_outputs() -> None:
    variant = EMULATED[0]
    (q, k, v), _ = inputs(1, 17, 2, variant.K, variant.V, variant.dtype)
    saved: list[Tensor] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: saved.append(x) or x, lambda x: x):
        o = cuda.linear_attention(q.requires_grad_(), k, v)
    extra = [x for x in saved if all(x.data_ptr() != y.data_ptr() for y in (q, k, v, o))]
    assert [(x.shape, x.dtype) for x in extra] == [((1, 2, 17), float32)]


# ---- The same on a GPU


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("T", [1, 65, 2100])
@pytest.mark.parametrize("variant", [*EMULATED, HALF, *LARGEST], ids=name)
def test_gradients_on_a_gpu(variant: Variant, T: int) -> None:
    check(variant, T, with_state=True, final=True, device="cuda")
