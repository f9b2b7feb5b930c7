"""The Triton kernels on sequences packed in one row, against the recurrence in float64 on each of them.

Needs TRITON_INTERPRET=1 before Triton is imported; test_triton_packed.py sees to that.
"""

from collections.abc import Callable, Iterator

import interpreted_linear as linear
import pytest
import torch
from torch import Tensor

from linbench_kernels.triton import linear_attention_calls
from linbench_kernels.triton.linear_attention import linear_attention_prefill

float32, bfloat16 = torch.float32, torch.bfloat16
RAGGED = (0, 5, 1, 0, 70, 17, 0)
SEGMENT = {"one pass": 1024, "segments": 64}


@pytest.fixture(autouse=True)
def _unwritten_memory_is_nan() -> Iterator[None]:
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


def starts(lengths: tuple[int, ...]) -> Tensor:
    return torch.tensor([0, *lengths]).cumsum(0).to(torch.int32)


def inputs(lengths: tuple[int, ...], dtype: torch.dtype, K: int = 16, V: int = 16) -> list[Tensor]:
    """q, k, v packed, and the states S and z of each sequence."""
    q, k, v, S, z = (x.detach() for x in linear.inputs(sum(lengths), K, V, dtype))
    generator = torch.Generator().manual_seed(2)
    S = torch.randn(len(lengths), *S.shape[1:], generator=generator)
    z = torch.rand(len(lengths), *z.shape[1:], generator=generator) + 1
    return [x.requires_grad_() for x in (q, k, v, S, z)]


def each(
    reference: Callable[..., tuple[Tensor, ...]],
    lengths: tuple[int, ...],
    rows: list[Tensor],
    states: list[Tensor],
) -> list[Tensor]:
    """The reference on one sequence at a time: outputs packed again, and final states."""
    results = []
    for i, parts in enumerate(zip(*(x.split(lengths, 1) for x in rows), strict=True)):
        state = [x[i : i + 1] for x in states]
        results.append(reference([*parts, *state]) if lengths[i] else (parts[2], *state))
    o, *final = zip(*results, strict=True)
    return [torch.cat(o, 1), *map(torch.cat, final)]


def compare(
    attend: Callable[..., list[Tensor]], exactly: Callable[..., list[Tensor]], tensors: list[Tensor]
) -> dict[str, float]:
    """Returns the error of each result, and of the gradient of each tensor."""
    results = attend(tensors)
    generator = torch.Generator().manual_seed(1)
    upstream = [torch.randn(x.shape, generator=generator).to(x.dtype) for x in results]
    torch.autograd.backward(results, upstream)
    exact = [x.detach().double().requires_grad_() for x in tensors]
    exact_results = exactly(exact)
    torch.autograd.backward(exact_results, [x.double() for x in upstream])
    pairs = [*zip(results, exact_results, strict=True)]
    pairs += [(linear.gradient(x), linear.gradient(y)) for x, y in zip(tensors, exact, strict=True)]
    return {str(i): linear.error(x, y) for i, (x, y) in enumerate(pairs)}


@pytest.mark.parametrize(
    ("dtype", "segment"), [(float32, "one pass"), (float32, "segments"), (bfloat16, "segments")]
)
def test_linear_attention_of_packed_sequences(
    dtype: torch.dtype, segment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(linear_attention_calls, "segment_length", lambda *_: SEGMENT[segment])
    cu_seqlens = starts(RAGGED)

    def attend(tensors: list[Tensor]) -> list[Tensor]:
        *rows, S, z = tensors
        o, final = linear_attention_prefill(*rows, state=(S, z), cu_seqlens=cu_seqlens)
        return [o, *final]

    def exactly(tensors: list[Tensor]) -> list[Tensor]:
        def reference(x: list[Tensor]) -> tuple[Tensor, ...]:
            return linear.reference(x, "elu1", True)

        return each(reference, RAGGED, tensors[:3], tensors[3:])

    errors = compare(attend, exactly, inputs(RAGGED, dtype))
    assert all(found <= linear.TOLERANCE[dtype] for found in errors.values()), errors
