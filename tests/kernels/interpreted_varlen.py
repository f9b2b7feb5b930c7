"""Compares the Triton kernels on varlen sequences with the recurrence in float64 on each sequence.

Run by `make test`, which sets TRITON_INTERPRET=1 before Triton is imported.
"""

from collections.abc import Callable, Iterator

import interpreted_decayed as decayed
import interpreted_linear as linear
import pytest
import torch
from torch import Tensor
from triton_interpreter import IGNORE_TRITON_WARNINGS

from linbench_kernels.triton import decayed_attention_calls, linear_attention_calls
from linbench_kernels.triton.decayed_attention import decayed_attention, decayed_attention_prefill
from linbench_kernels.triton.launch import split_into_segments
from linbench_kernels.triton.linear_attention import linear_attention, linear_attention_prefill

pytestmark = IGNORE_TRITON_WARNINGS
float32, bfloat16 = torch.float32, torch.bfloat16
RAGGED = (0, 5, 1, 0, 70, 17, 0)
SEGMENT = {"one pass": 1024, "segments": 64}


@pytest.fixture(autouse=True)
def _unwritten_memory_is_nan() -> Iterator[None]:
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


def cumulative_lengths(lengths: tuple[int, ...]) -> Tensor:
    """Returns cu_seqlens, not contiguous."""
    values = torch.tensor([0, *lengths]).cumsum(0).to(torch.int32)
    return torch.stack([values, -values], 1)[:, 0]


def inputs(lengths: tuple[int, ...], dtype: torch.dtype, K: int = 16, V: int = 16) -> list[Tensor]:
    """Returns q, k, v in one row, and the states S and z of each sequence."""
    q, k, v, S, z = (x.detach() for x in linear.inputs(sum(lengths), K, V, dtype))
    generator = torch.Generator().manual_seed(2)
    S = torch.randn(len(lengths), *S.shape[1:], generator=generator)
    z = torch.rand(len(lengths), *z.shape[1:], generator=generator) + 1
    return [x.requires_grad_() for x in (q, k, v, S, z)]


def reference_per_sequence(
    reference: Callable[..., tuple[Tensor, ...]],
    lengths: tuple[int, ...],
    rows: list[Tensor],
    states: list[Tensor],
) -> list[Tensor]:
    """Returns the reference for each sequence: outputs in one row, and final states."""
    results = []
    for i, parts in enumerate(zip(*(x.split(lengths, 1) for x in rows), strict=True)):
        state = [x[i : i + 1] for x in states]
        results.append(reference([*parts, *state]) if lengths[i] else (parts[2], *state))
    o, *final = zip(*results, strict=True)
    return [torch.cat(o, 1), *map(torch.cat, final)]


def compare(
    attend: Callable[..., list[Tensor]], expected: Callable[..., list[Tensor]], tensors: list[Tensor]
) -> dict[str, float]:
    """Returns the error of each result, and of the gradient of each tensor."""
    results = attend(tensors)
    generator = torch.Generator().manual_seed(1)
    upstream = [torch.randn(x.shape, generator=generator).to(x.dtype) for x in results]
    torch.autograd.backward(results, upstream)
    exact = [x.detach().double().requires_grad_() for x in tensors]
    exact_results = expected(exact)
    torch.autograd.backward(exact_results, [x.double() for x in upstream])
    pairs = [*zip(results, exact_results, strict=True)]
    pairs += [(linear.gradient(x), linear.gradient(y)) for x, y in zip(tensors, exact, strict=True)]
    return {str(i): linear.error(x, y) for i, (x, y) in enumerate(pairs)}


@pytest.mark.parametrize(
    ("dtype", "segment"), [(float32, "one pass"), (float32, "segments"), (bfloat16, "segments")]
)
def test_linear_attention_of_varlen_sequences(
    dtype: torch.dtype, segment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(linear_attention_calls, "segment_length", lambda *_: SEGMENT[segment])
    cu_seqlens = cumulative_lengths(RAGGED)

    def attend(tensors: list[Tensor]) -> list[Tensor]:
        *rows, S, z = tensors
        o, final = linear_attention_prefill(*rows, state=(S, z), cu_seqlens=cu_seqlens)
        return [o, *final]

    def expected(tensors: list[Tensor]) -> list[Tensor]:
        def reference(x: list[Tensor]) -> tuple[Tensor, ...]:
            return linear.reference(x, "elu1", True)

        return reference_per_sequence(reference, RAGGED, tensors[:3], tensors[3:])

    errors = compare(attend, expected, inputs(RAGGED, dtype))
    assert all(e <= linear.TOLERANCE[dtype] for e in errors.values()), errors


@pytest.mark.parametrize(
    ("dtype", "segment", "decay"),
    [
        (float32, "one pass", "typical"),
        (float32, "segments", "typical"),
        (float32, "segments", "retention"),
        (bfloat16, "segments", "strong"),
    ],
)
def test_attention_with_decay_of_varlen_sequences(
    dtype: torch.dtype, segment: str, decay: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decayed_attention_calls, "segment_length", lambda *_: SEGMENT[segment])
    monkeypatch.setattr(decayed_attention_calls, "DRIFT", 64)
    cu_seqlens = cumulative_lengths(RAGGED)
    g = decayed.DECAYS[decay](sum(RAGGED)).requires_grad_()

    def attend(tensors: list[Tensor]) -> list[Tensor]:
        *rows, S = tensors
        return [*decayed_attention_prefill(*rows, state=S, cu_seqlens=cu_seqlens)]

    def expected(tensors: list[Tensor]) -> list[Tensor]:
        q, k, v, g, S = tensors
        if g.ndim == 3:
            return reference_per_sequence(decayed.reference, RAGGED, [q, k, v, g], [S])
        return reference_per_sequence(lambda x: decayed.reference([*x[:3], g, x[3]]), RAGGED, [q, k, v], [S])

    q, k, v, S, _ = inputs(RAGGED, dtype)
    errors = compare(attend, expected, [q, k, v, g, S])
    assert all(e <= decayed.TOLERANCE[dtype] for e in errors.values()), errors


@pytest.mark.parametrize("length", [64, 128])
def test_one_varlen_sequence_matches_a_row_bitwise(length: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Uses lengths at which the last segment is full too."""
    for calls in (linear_attention_calls, decayed_attention_calls):
        monkeypatch.setattr(calls, "segment_length", lambda *_: length)
    monkeypatch.setattr(decayed_attention_calls, "DRIFT", 64)
    cu_seqlens = cumulative_lengths((128,))
    q, k, v, S, z = inputs((128,), bfloat16)
    g = decayed.DECAYS["typical"](128).requires_grad_()

    def results(cu_seqlens: Tensor | None) -> tuple[Tensor, ...]:
        o, final = linear_attention_prefill(q, k, v, state=(S, z), cu_seqlens=cu_seqlens)
        decayed_o, decayed_final = decayed_attention_prefill(q, k, v, g, state=S, cu_seqlens=cu_seqlens)
        loss = (
            o.float().square().sum()
            + decayed_o.float().square().sum()
            + final[0].sum()
            + final[1].sum()
            + decayed_final.sum()
        )
        return (o, *final, decayed_o, decayed_final, *torch.autograd.grad(loss, (q, k, v, S, z, g)))

    assert split_into_segments(q, 128, cu_seqlens).number == 1
    assert all(map(torch.equal, results(cu_seqlens), results(None)))


@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")  # raised by torch
def test_torch_compile_keeps_one_graph_of_varlen_sequences() -> None:
    """The fake implementations have no values: shapes of states follow from that of cu_seqlens."""
    q, k, v, *_ = inputs((3, 0, 14), bfloat16)
    g, cu_seqlens = torch.full((2,), -0.1, requires_grad=True), cumulative_lengths((3, 0, 14))

    def attend(cu_seqlens: Tensor) -> Tensor:
        o, final = linear_attention_prefill(q, k, v, cu_seqlens=cu_seqlens)
        decayed_o, decayed_final = decayed_attention_prefill(q, k, v, g, cu_seqlens=cu_seqlens)
        assert final[0].shape[0] == decayed_final.shape[0] == 3
        states = final[0].sum() + final[1].sum() + decayed_final.sum()
        return (o + decayed_o).float().square().sum() + states

    compiled = torch.compile(attend, backend="aot_eager", fullgraph=True)
    expected, actual = (torch.autograd.grad(run(cu_seqlens), (q, k, v, g)) for run in (attend, compiled))
    assert all(map(torch.equal, actual, expected))


@pytest.mark.parametrize(
    ("cu_seqlens", "rows", "message"),
    [
        (torch.tensor([0, 8]), 1, r"\(2,\) torch.int64; allowed: \[N \+ 1\]"),
        (torch.tensor([8], dtype=torch.int32), 1, r"\(1,\) torch.int32; allowed: \[N \+ 1\]"),
        (cumulative_lengths((8,)), 2, "q has B = 2"),
        (cumulative_lengths((8, 0)), 1, r"state is .*allowed: .*\(2, 2, 16, 16\)"),
    ],
)
def test_errors_name_the_invalid_argument(cu_seqlens: Tensor, rows: int, message: str) -> None:
    q, S, z = torch.zeros(rows, 8, 2, 16), torch.zeros(1, 2, 16, 16), torch.zeros(1, 2, 16)
    with pytest.raises(ValueError, match=message):
        linear_attention(q, q, q, state=(S, z), cu_seqlens=cu_seqlens)
    with pytest.raises(ValueError, match=message):
        decayed_attention(q, q, q, torch.zeros(2), state=S, cu_seqlens=cu_seqlens)
