"""Compares the results of the Triton kernels of attention with decay with the recurrence in float64.

Run by `make test`, which sets TRITON_INTERPRET=1 before Triton is imported.
"""

from collections.abc import Callable, Iterable
from typing import Any

import pytest
import torch
from torch import Tensor
from triton_interpreter import IGNORE_TRITON_WARNINGS, patch_bfloat16

from linbench_kernels.triton import decayed_attention_calls as calls
from linbench_kernels.triton.decayed_attention import (
    decayed_attention,
    decayed_attention_decode,
    decayed_attention_prefill,
)
from linbench_kernels.triton.launch import Plan

patch_bfloat16()
pytestmark = IGNORE_TRITON_WARNINGS

float32, float16, bfloat16 = torch.float32, torch.float16, torch.bfloat16
TOLERANCE = {float32: 1e-5, float16: 4e-3, bfloat16: 2e-2}  # of ||x - reference|| / ||reference||
B, H = 1, 2
DECAYS: dict[str, Callable[[int], Tensor]] = {
    "retention": lambda T: torch.log1p(-torch.exp2(-5 - torch.arange(H))),  # noqa: ARG005
    "lightning": lambda T: torch.tensor([0.0, -8.0]),  # noqa: ARG005
    "typical": lambda T: -torch.nn.functional.softplus(noise(T) - 3),
    "strong": lambda T: -torch.nn.functional.softplus(noise(T) + 4),
    "hardly any": lambda T: -torch.nn.functional.softplus(noise(T) - 8),
    "closing": lambda T: torch.where(noise(T) > 1, -100.0, -0.05),  # exp(100) overflows float32
}


def noise(T: int) -> Tensor:
    return torch.randn(B, T, H, generator=torch.Generator().manual_seed(T))


def reference(tensors: list[Tensor], scale: float | None = None) -> tuple[Tensor, Tensor]:
    """Returns the results of the recurrence, step by step."""
    q, k, v, log_decay, S = tensors
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    outputs = []
    for t in range(q.shape[1]):
        g = log_decay if log_decay.ndim == 1 else log_decay[:, t]
        S = S * g.exp()[..., None, None] + k[:, t][..., :, None] * v[:, t][..., None, :]
        outputs.append((S * q[:, t][..., :, None]).sum(-2) * scale)
    return torch.stack(outputs, 1), S


def error(actual: Tensor, expected: Tensor) -> float:
    return float((actual.detach().double() - expected.detach()).norm() / expected.detach().norm())


def inputs(T: int, K: int, V: int, dtype: torch.dtype, decay: str) -> list[Tensor]:
    """Returns q, k, v, log-decays and the state S; all require gradients."""
    generator = torch.Generator().manual_seed(T + K + V)
    q, k = (torch.randn(B, T, H, K, generator=generator) for _ in range(2))
    v = torch.randn(B, T, H, V, generator=generator)
    S = torch.randn(B, H, K, V, generator=generator)
    g = DECAYS[decay](T)
    rows = [x.to(dtype).requires_grad_() for x in (q, k, v)]
    return [*rows, g.requires_grad_(), S.requires_grad_()]


def to_float64(tensors: Iterable[Tensor]) -> list[Tensor]:
    return [x.detach().double().requires_grad_(x.requires_grad) for x in tensors]


@pytest.fixture(params=["one pass", "segments"])
def _segments(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    length = 64 if request.param == "segments" else 1024
    monkeypatch.setattr(calls, "segment_length", lambda *_: length)
    monkeypatch.setattr(calls, "DRIFT", 64)


def check(tensors: list[Tensor], scale: float | None = None, tolerance: float | None = None) -> None:
    """Compares outputs, final state and all gradients with the reference; inputs must not change."""
    tolerance = TOLERANCE[tensors[0].dtype] if tolerance is None else tolerance
    before = [x.detach().clone() for x in tensors]
    *rows, S = tensors
    results = decayed_attention_prefill(*rows, scale=scale, state=S)
    generator = torch.Generator().manual_seed(1)
    upstream = [torch.randn(x.shape, generator=generator).to(x.dtype) for x in results]
    torch.autograd.backward(results, upstream)

    exact = to_float64(tensors)
    exact_results = reference(exact, scale)
    torch.autograd.backward(exact_results, [x.double() for x in upstream])

    pairs = dict(zip(("o", "S"), zip(results, exact_results, strict=True), strict=True))
    for name, x, y in zip(("dq", "dk", "dv", "dg", "dS"), tensors, exact, strict=True):
        if x.requires_grad:
            assert x.grad is not None
            assert y.grad is not None
            pairs[name] = x.grad, y.grad
    errors = {name: error(x, y) for name, (x, y) in pairs.items()}
    wrong = {name: e for name, e in errors.items() if not e <= tolerance}
    assert not wrong
    assert all(torch.equal(x.detach(), y) for x, y in zip(tensors, before, strict=True))


@pytest.mark.usefixtures("_segments")
@pytest.mark.parametrize("dtype", [float32, float16, bfloat16])
@pytest.mark.parametrize("T", [1, 130])
@pytest.mark.parametrize("decay", ["retention", "typical"])
def test_arbitrary_lengths(T: int, dtype: torch.dtype, decay: str) -> None:
    check(inputs(T, 32, 16, dtype, decay))


@pytest.mark.parametrize("dtype", [float32, float16, bfloat16])
@pytest.mark.parametrize("decay", ["lightning", "strong", "hardly any"])
def test_typical_and_extreme_decays(decay: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "DRIFT", 64)
    check(inputs(70, 16, 32, dtype, decay))


def test_the_gradient_of_a_constant_decay_is_a_sum_over_the_batch() -> None:
    q, k, v, g, S = (x.detach() for x in inputs(33, 16, 32, float32, "retention"))
    q, k, v, S = (torch.cat([x, x.flip(1)]).requires_grad_() for x in (q, k, v, S))
    check([q, k, v, g.requires_grad_(), S])


def test_gates_that_require_no_gradient() -> None:
    *rows, g, S = inputs(17, 16, 32, float32, "typical")
    check([*rows, g.detach(), S])


@pytest.mark.parametrize("dtype", [float32, bfloat16])
def test_gates_that_close_within_a_chunk(dtype: torch.dtype) -> None:
    """The sum c of a chunk of 16 reaches -700, and the relative error of weights is 2^-24 |c|."""
    check(inputs(70, 16, 32, dtype, "closing"), tolerance=4e-5 if dtype == float32 else None)


@pytest.mark.usefixtures("_segments")
@pytest.mark.parametrize("dtype", [float32, bfloat16])
@pytest.mark.parametrize(("K", "V"), [(48, 80), (80, 24)])
def test_sizes_that_are_not_powers_of_two_and_several_slices(K: int, V: int, dtype: torch.dtype) -> None:
    check(inputs(70, K, V, dtype, "typical"))


def test_without_a_state_and_final_state_with_a_scale() -> None:
    *rows, S = inputs(70, 16, 16, float32, "typical")
    exact = to_float64(rows)
    o = decayed_attention(*rows, scale=0.5)
    o.sum().backward()  # an upstream gradient with strides of zero
    exact_o, _ = reference([*exact, torch.zeros_like(S)], 0.5)
    exact_o.sum().backward()
    assert error(o, exact_o) <= TOLERANCE[float32]
    for x, y in zip(rows, exact, strict=True):
        assert x.grad is not None
        assert y.grad is not None
        assert error(x.grad, y.grad) <= TOLERANCE[float32]


def test_other_tiles_and_repeated_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a call whose tiles are chosen by timing."""

    def tune(plan: Plan, kernels: str, which: str, q: Tensor, run: Callable[[Plan], None]) -> Plan:
        del kernels, which, q
        tuned = plan._replace(
            keys=plan.keys._replace(chunk=32), values=plan.values._replace(chunk=32, outer=32)
        )
        run(tuned)
        return tuned

    monkeypatch.setattr(calls, "tune", tune)
    check(inputs(70, 32, 16, bfloat16, "typical"))


def test_strided_inputs_and_gates() -> None:
    *rows, S = inputs(70, 32, 16, float32, "typical")
    views = [x.detach().transpose(1, 2).contiguous().transpose(1, 2).requires_grad_() for x in rows]
    assert not any(x.is_contiguous() for x in views)
    check([*views, S])


def test_states_outside_the_range_of_float16() -> None:
    *rows, S = inputs(70, 32, 16, float16, "hardly any")
    check([*rows, (S.detach() * 1e6).requires_grad_()], scale=1e-3)


@pytest.mark.parametrize("decay", ["lightning", "typical"])
@pytest.mark.parametrize("dtype", [float32, float16, bfloat16])
def test_decode_updates_the_state_in_place(dtype: torch.dtype, decay: str) -> None:
    q, k, v, g, S = (x.detach() for x in inputs(1, 48, 80, dtype, decay))
    exact_o, exact_S = reference(to_float64((q, k, v, g, S)))
    o, state = decayed_attention_decode(q, k, v, g, S)
    assert state is S
    assert error(o, exact_o) <= TOLERANCE[dtype]
    assert error(S, exact_S) <= TOLERANCE[float32]


def test_decode_without_a_state_starts_from_zeros() -> None:
    q, k, v, g, S = (x.detach() for x in inputs(1, 16, 32, float32, "typical"))
    actual = decayed_attention_decode(q, k, v, g)
    expected = reference([*to_float64((q, k, v, g)), torch.zeros_like(S).double()])
    assert all(error(x, y) <= TOLERANCE[float32] for x, y in zip(actual, expected, strict=True))


def test_prefill_then_decode_matches_one_longer_prefill() -> None:
    q, k, v, g, _ = (x.detach() for x in inputs(18, 16, 32, float32, "typical"))
    expected, _ = decayed_attention_prefill(q, k, v, g)
    _, S = decayed_attention_prefill(q[:, :17], k[:, :17], v[:, :17], g[:, :17])
    last, _ = decayed_attention_decode(q[:, 17:], k[:, 17:], v[:, 17:], g[:, 17:], S)
    torch.testing.assert_close(last, expected[:, 17:], rtol=1e-5, atol=1e-6)


@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")  # raised by torch
@pytest.mark.parametrize("decay", ["retention", "typical"])
def test_torch_compile_keeps_one_graph_and_every_gradient(decay: str) -> None:
    *rows, S = inputs(17, 16, 32, bfloat16, decay)
    leaves = [x for x in (*rows, S) if x.requires_grad]

    def attend() -> Tensor:
        o, final = decayed_attention_prefill(*rows, state=S)
        return o.float().sum() + final.sum() + decayed_attention(*rows).float().square().sum()

    compiled = torch.compile(attend, backend="aot_eager", fullgraph=True)
    expected, actual = (torch.autograd.grad(function(), leaves) for function in (attend, compiled))
    assert all(map(torch.equal, actual, expected))


def test_torch_compile_keeps_the_state_of_decode() -> None:
    q, k, v, g, S = (x.detach() for x in inputs(1, 16, 32, float32, "typical"))
    before = S.clone()
    o, _ = decayed_attention_decode(q, k, v, g, S)
    with torch.no_grad():
        compiled_o, _ = torch.compile(decayed_attention_decode, backend="aot_eager", fullgraph=True)(
            q, k, v, g, before
        )
    assert torch.equal(compiled_o, o)
    assert torch.equal(before, S)


def call_arguments(**change: Any) -> dict[str, Any]:
    rows = {name: torch.zeros(1, 8, 2, 16) for name in "qkv"}
    return rows | {"log_decay": torch.zeros(1, 8, 2)} | change


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (call_arguments(k=torch.zeros(1, 8, 2, 32)), r"k \(1, 8, 2, 32\).*allowed: q and k \[B, T, H, K\]"),
        (call_arguments(v=torch.zeros(1, 8, 2, 8)), "V = 8; allowed: .* from 16 to 256"),
        (call_arguments(v=torch.zeros(1, 8, 2, 16).half()), "v torch.float16; allowed"),
        (call_arguments(log_decay=torch.zeros(8)), r"log_decay is \(8,\).*allowed: \(2,\) or \(1, 8, 2\)"),
        (call_arguments(log_decay=torch.zeros(2).half()), r"float16; allowed: .*torch.float32"),
        (
            call_arguments(state=torch.zeros(1, 2, 16, 8)),
            r"state is \(1, 2, 16, 8\).*allowed: \(1, 2, 16, 16\)",
        ),
    ],
)
def test_errors_name_the_invalid_argument(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        decayed_attention(**arguments)


def test_decode_rejects_several_steps_gradients_and_a_strided_state() -> None:
    q, k, v, g, S = inputs(2, 16, 16, float32, "typical")
    with pytest.raises(ValueError, match="T = 2"):
        decayed_attention_decode(q, k, v, g, S)
    step = [x[:, :1] for x in (q, k, v, g)]
    with pytest.raises(RuntimeError, match="no gradient"):
        decayed_attention_decode(*step, S)
    with torch.no_grad(), pytest.raises(ValueError, match="allowed: contiguous"):
        decayed_attention_decode(*step, S.mT)
