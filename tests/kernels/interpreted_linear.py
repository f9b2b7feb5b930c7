"""Compares the results of the Triton kernels of linear attention with the recurrence in float64.

Run by `make test`, which sets TRITON_INTERPRET=1 before Triton is imported.
"""

from collections.abc import Callable, Iterable
from typing import Any

import pytest
import torch
from torch import Tensor
from triton_interpreter import IGNORE_TRITON_WARNINGS, patch_bfloat16

from linbench_kernels.triton import linear_attention_calls as calls
from linbench_kernels.triton.launch import Plan
from linbench_kernels.triton.linear_attention import (
    linear_attention,
    linear_attention_decode,
    linear_attention_prefill,
)

patch_bfloat16()
pytestmark = IGNORE_TRITON_WARNINGS

float32, float16, bfloat16 = torch.float32, torch.float16, torch.bfloat16
TOLERANCE = {float32: 1e-5, float16: 4e-3, bfloat16: 2e-2}  # of ||x - reference|| / ||reference||
PHI: dict[str, Callable[[Tensor], Tensor]] = {
    "elu1": lambda x: torch.nn.functional.elu(x) + 1,
    "relu": torch.relu,
    "identity": lambda x: x,
}


def reference(tensors: list[Tensor], feature_map: str, normalize: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Returns the results of the recurrence, step by step."""
    q, k, v, S, z = tensors
    phi, outputs = PHI[feature_map], []
    for t in range(q.shape[1]):
        phi_q, phi_k = phi(q[:, t]), phi(k[:, t])
        S = S + phi_k[..., :, None] * v[:, t][..., None, :]
        z = z + phi_k
        o = (S * phi_q[..., :, None]).sum(-2)
        outputs.append(o / ((phi_q * z).sum(-1, keepdim=True) + 1e-6) if normalize else o)
    return torch.stack(outputs, 1), S, z


def error(actual: Tensor, expected: Tensor) -> float:
    return float((actual.detach().double() - expected.detach()).norm() / expected.detach().norm())


def inputs(T: int, K: int, V: int, dtype: torch.dtype, *, positive: bool = False) -> list[Tensor]:
    """Returns q, k, v and the state S, z; with the identity as phi, q and k must be positive."""
    B, H = 1, 2
    generator = torch.Generator().manual_seed(T + K + V)
    q, k = (torch.randn(B, T, H, K, generator=generator) for _ in range(2))
    q, k = (q.abs(), k.abs()) if positive else (q, k)
    v = torch.randn(B, T, H, V, generator=generator)
    S = torch.randn(B, H, K, V, generator=generator)
    z = torch.rand(B, H, K, generator=generator) + 1
    return [x.requires_grad_() for x in (q.to(dtype), k.to(dtype), v.to(dtype), S, z)]


def gradient(x: Tensor) -> Tensor:
    assert x.grad is not None
    return x.grad


def to_float64(tensors: Iterable[Tensor]) -> list[Tensor]:
    return [x.detach().double().requires_grad_() for x in tensors]


@pytest.fixture(params=["one pass", "segments"])
def _segments(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    length = 64 if request.param == "segments" else 1024
    monkeypatch.setattr(calls, "segment_length", lambda *_: length)


def check(tensors: list[Tensor], feature_map: str = "elu1", normalize: bool = True) -> None:
    """Compares outputs, final states and all gradients with the reference; inputs must not change."""
    before = [x.detach().clone() for x in tensors]
    *rows, S, z = tensors
    o, final = linear_attention_prefill(*rows, state=(S, z), feature_map=feature_map, normalize=normalize)
    results = (o, *final)
    generator = torch.Generator().manual_seed(1)
    upstream = [torch.randn(x.shape, generator=generator).to(x.dtype) for x in results]
    torch.autograd.backward(results, upstream)

    exact = to_float64(tensors)
    exact_results = reference(exact, feature_map, normalize)
    torch.autograd.backward(exact_results, [x.double() for x in upstream])

    errors = [error(x, y) for x, y in zip(results, exact_results, strict=True)]
    errors += [error(gradient(x), gradient(y)) for x, y in zip(tensors, exact, strict=True)]
    names = ("o", "S", "z", "dq", "dk", "dv", "dS", "dz")
    wrong = {name: e for name, e in zip(names, errors, strict=True) if not e <= TOLERANCE[rows[0].dtype]}
    assert not wrong
    assert all(torch.equal(x.detach(), y) for x, y in zip(tensors, before, strict=True))


@pytest.mark.usefixtures("_segments")
@pytest.mark.parametrize("dtype", [float32, float16, bfloat16])
@pytest.mark.parametrize("T", [1, 17, 64, 65, 130])
def test_arbitrary_lengths(T: int, dtype: torch.dtype) -> None:
    check(inputs(T, 32, 16, dtype))


@pytest.mark.usefixtures("_segments")
@pytest.mark.parametrize("dtype", [float32, bfloat16])
@pytest.mark.parametrize(("K", "V"), [(48, 80), (80, 24)])
def test_sizes_that_are_not_powers_of_two_and_several_slices(K: int, V: int, dtype: torch.dtype) -> None:
    check(inputs(70, K, V, dtype))


@pytest.mark.usefixtures("_segments")
@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("feature_map", list(PHI))
def test_feature_maps_with_and_without_the_normaliser(feature_map: str, normalize: bool) -> None:
    check(inputs(70, 24, 16, float32, positive=feature_map == "identity"), feature_map, normalize)


def test_without_a_state_and_final_state() -> None:
    *rows, S, z = inputs(70, 16, 16, float32)
    exact = to_float64(rows)
    o = linear_attention(*rows)
    o.sum().backward()  # an upstream gradient with strides of zero
    exact_o, _, _ = reference([*exact, torch.zeros_like(S), torch.zeros_like(z)], "elu1", True)
    exact_o.sum().backward()
    assert error(o, exact_o) <= TOLERANCE[float32]
    # the gradients of q nearly cancel here: compare with the largest gradient instead of each one's own norm
    scale = max(float(gradient(y).norm()) for y in exact)
    assert all(
        float((gradient(x) - gradient(y)).norm()) <= 1e-5 * scale for x, y in zip(rows, exact, strict=True)
    )


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
    check(inputs(70, 32, 16, bfloat16))


def test_strided_inputs() -> None:
    rows = inputs(70, 32, 16, float32)
    views = [x.detach().transpose(1, 2).contiguous().transpose(1, 2).requires_grad_() for x in rows[:3]]
    assert not any(x.is_contiguous() for x in views)
    check([*views, *rows[3:]])


def test_rows_that_are_not_contiguous() -> None:
    rows = inputs(17, 32, 16, float32)
    views = [x.detach().mT.contiguous().mT.requires_grad_() for x in rows[:3]]
    assert all(x.stride(3) != 1 for x in views)
    check([*views, *rows[3:]])


def test_states_and_weights_outside_the_range_of_float16() -> None:
    """As after a million steps: a state of 1e6 is above 65504, a weight of 1e-8 below the smallest number."""
    *rows, S, z = inputs(70, 32, 16, float16)
    check([*rows, *((x.detach() * 1e6).requires_grad_() for x in (S, z))])


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("feature_map", list(PHI))
@pytest.mark.parametrize("dtype", [float32, float16, bfloat16])
def test_decode_updates_the_state_in_place(dtype: torch.dtype, feature_map: str, normalize: bool) -> None:
    q, k, v, S, z = (x.detach() for x in inputs(1, 48, 80, dtype, positive=feature_map == "identity"))
    exact = reference(to_float64((q, k, v, S, z)), feature_map, normalize)
    o, state = linear_attention_decode(q, k, v, (S, z), feature_map=feature_map, normalize=normalize)
    assert state[0] is S
    assert state[1] is z
    assert error(o, exact[0]) <= TOLERANCE[dtype]
    assert error(S, exact[1]) <= TOLERANCE[float32]
    assert error(z, exact[2]) <= TOLERANCE[float32]


def test_decode_of_a_state_of_several_tiles() -> None:
    """Several programs per head would read an updated z: the interpreter runs them one after another."""
    q, k, v, S, z = (x.detach() for x in inputs(1, 128, 72, float32))
    exact = reference(to_float64((q, k, v, S, z)), "elu1", True)
    o, _ = linear_attention_decode(q, k, v, (S, z))
    assert all(error(x, y) <= TOLERANCE[float32] for x, y in zip((o, S, z), exact, strict=True))


def test_decode_without_a_state_starts_from_zeros() -> None:
    q, k, v, S, z = (x.detach() for x in inputs(1, 16, 32, float32))
    o, state = linear_attention_decode(q, k, v)
    exact = reference(
        [*to_float64((q, k, v)), torch.zeros_like(S).double(), torch.zeros_like(z).double()], "elu1", True
    )
    assert all(error(x, y) <= TOLERANCE[float32] for x, y in zip((o, *state), exact, strict=True))


def test_prefill_then_decode_matches_one_longer_prefill() -> None:
    q, k, v = (x.detach() for x in inputs(18, 16, 32, float32)[:3])
    expected, _ = linear_attention_prefill(q, k, v)
    _, state = linear_attention_prefill(q[:, :17], k[:, :17], v[:, :17])
    last, _ = linear_attention_decode(q[:, 17:], k[:, 17:], v[:, 17:], state)
    torch.testing.assert_close(last, expected[:, 17:], rtol=1e-5, atol=1e-6)


@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")  # raised by torch
@pytest.mark.parametrize("normalize", [True, False])
def test_torch_compile_keeps_one_graph_and_every_gradient(normalize: bool) -> None:
    *rows, S, z = inputs(17, 16, 32, bfloat16)

    def attend() -> Tensor:
        o, final = linear_attention_prefill(*rows, normalize=normalize, state=(S, z))
        without_state = linear_attention(*rows, normalize=normalize)
        loss = o.float().sum() + final[0].sum() + final[1].sum()
        return loss + without_state.float().square().sum()

    compiled = torch.compile(attend, backend="aot_eager", fullgraph=True)
    expected, actual = (torch.autograd.grad(function(), (*rows, S, z)) for function in (attend, compiled))
    assert all(map(torch.equal, actual, expected))


def test_torch_compile_keeps_decode() -> None:
    q, k, v, S, z = (x.detach() for x in inputs(1, 16, 32, float32))
    compiled = torch.compile(linear_attention_decode, backend="aot_eager", fullgraph=True)
    with torch.no_grad():
        expected, actual = (
            function(q, k, v, (S.clone(), z.clone())) for function in (linear_attention_decode, compiled)
        )
    assert all(map(torch.equal, (actual[0], *actual[1]), (expected[0], *expected[1])))
    assert not torch.equal(actual[1][0], S)


def call_arguments(**change: Any) -> dict[str, Any]:
    return {name: torch.zeros(1, 8, 2, 16) for name in "qkv"} | change


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (call_arguments(feature_map="gelu"), "feature_map is 'gelu'; allowed: elu1, relu, identity"),
        (call_arguments(k=torch.zeros(1, 8, 2, 32)), r"k \(1, 8, 2, 32\).*allowed: q and k \[B, T, H, K\]"),
        (call_arguments(v=torch.zeros(1, 8, 2, 8)), "V = 8; allowed: .* from 16 to 256"),
        (call_arguments(v=torch.zeros(1, 8, 2, 16).half()), "v torch.float16; allowed"),
        (
            call_arguments(state=(torch.zeros(1, 2, 16, 8), torch.zeros(1, 2, 16))),
            r"S \(1, 2, 16, 8\).*allowed: S",
        ),
    ],
)
def test_errors_name_the_invalid_argument(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        linear_attention(**arguments)


def test_decode_rejects_several_steps_gradients_and_a_strided_state() -> None:
    q, k, v, S, z = inputs(2, 16, 16, float32)
    with pytest.raises(ValueError, match="T = 2"):
        linear_attention_decode(q, k, v, (S, z))
    with pytest.raises(RuntimeError, match="no gradient"):
        linear_attention_decode(q[:, :1], k[:, :1], v[:, :1], (S, z))
    with torch.no_grad(), pytest.raises(ValueError, match="allowed: contiguous"):
        linear_attention_decode(q[:, :1], k[:, :1], v[:, :1], (S.mT, z))
