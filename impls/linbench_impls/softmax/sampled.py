"""The expected values of softmax attention in slices of bounded size, at all or at sampled positions."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from linbench import Case, Expected, Inputs
from linbench_impls.softmax.padding import lengths
from linbench_impls.toolkit import varlen

if TYPE_CHECKING:
    import torch
    from torch import Tensor

POSITIONS = 64
SLICE_BYTES = 2**25


def sampled_positions(tokens: int, seed: int, device: torch.device) -> Tensor:
    """Return sorted positions along T: the first, the last, and random ones from the seed."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    samples = torch.randint(0, tokens, (POSITIONS - 2,), generator=generator)
    positions: Tensor = torch.cat([samples, torch.tensor([0, tokens - 1])]).unique()
    return positions.to(device)


def sampled_output(case: Case, inputs: Inputs, positions: Tensor) -> dict[str, Expected]:
    """Return o at some rows (the only row in decode), and the cache at these slots."""
    import torch

    q, k, v = (inputs.tensors[name] for name in "qkv")
    if case.mode == "decode":
        if inputs.state is not None:
            k, v = (torch.cat([cache[:, :-1], x], 1) for cache, x in zip(inputs.state, (k, v), strict=True))
            positions = torch.cat([positions, positions.new_tensor([case.T])])
        last = torch.tensor([[k.shape[1] - 1]], device=q.device)
        expected = {"o": Expected(_rows(q[:, -1:], k, v, torch.zeros_like(last), last))}
    else:
        o = _rows(q[:, positions], k, v, *visible_range(case, positions))
        expected = {"o": Expected(o, (slice(None), positions))}
    if case.mode == "prefill" or inputs.state is not None:
        slots = (slice(None), positions)
        expected |= {
            "k_cache": Expected(k[slots].double(), slots),
            "v_cache": Expected(v[slots].double(), slots),
        }
    return expected


def sampled_gradients(case: Case, inputs: Inputs, positions: Tensor, group: int) -> dict[str, Expected]:
    """Return o and dq at the sampled rows, dk and dv at the sampled keys of the last head of keys.

    dv_u = sum_t P_tu do_t and dk_u = sum_t P_tu (do_t . v_u - do_t . o_t) q_t / sqrt(K), where
    P_tu = exp(s_tu - l_t) and l_t is the logarithm of row t's sum of exponentials. The last `group` heads of
    the inputs have the same keys.
    """
    import torch

    if inputs.upstream is None:
        raise ValueError("fwd_bwd needs an upstream gradient")
    rows = (slice(None), positions)
    queries = inputs.tensors["q"][rows].double().requires_grad_()
    k, v, upstream = inputs.tensors["k"], inputs.tensors["v"], inputs.upstream
    outputs, gradients = [], []
    for head in range(case.H):  # one head at a time: the graph holds the scores of the sampled rows
        heads = (slice(None), slice(None), slice(head, head + 1))
        o = _rows(queries[heads], k[heads], v[heads], *visible_range(case, positions))
        outputs.append(o.detach())
        gradients.append(torch.autograd.grad(o, queries, upstream[rows][heads])[0])
    dq = torch.stack(gradients).sum(0)
    shares = []
    for head in range(case.H - group, case.H):
        index = (case.B - 1, slice(None), head)
        q_h, k_h, v_h, do = (x[index].double() for x in (inputs.tensors["q"], k, v, upstream))
        shares.append(_key_gradients(case, q_h, k_h, v_h, do, positions))
    dk, dv = (torch.stack(parts).sum(0) for parts in zip(*shares, strict=True))
    keys = (case.B - 1, positions, case.H // group - 1)
    return {
        "o": Expected(torch.cat(outputs, 2), rows),
        "dq": Expected(dq, rows),
        "dk": Expected(dk, keys),
        "dv": Expected(dv, keys),
    }


def gradients_in_blocks(case: Case, inputs: Inputs) -> dict[str, Expected]:
    """Return o and the gradients of every input, head by head and in blocks of rows.

    With P the weights, dv = P^T do, dS = P * (do v^T - (do . o)), dq = dS k / sqrt(K), dk = dS^T q / sqrt(K).
    """
    import torch

    if inputs.upstream is None:
        raise ValueError("fwd_bwd needs an upstream gradient")
    tensors = (*(inputs.tensors[name] for name in "qkv"), inputs.upstream)
    results: list[list[Tensor]] = [[], [], [], []]
    for batch in range(case.B):
        for head in range(case.H):
            q, k, v, do = (x[batch, :, head].double() for x in tensors)
            for values, value in zip(results, _head_gradients(case, q, k, v, do, batch), strict=True):
                values.append(value)
    names = ("o", "dq", "dk", "dv")
    values_by_name = zip(names, (torch.stack(values, 1) for values in results), strict=True)
    return {
        name: Expected(value.unflatten(1, (case.B, case.H)).movedim(1, 0)) for name, value in values_by_name
    }


def visible_range(case: Case, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Return the first and the last key that rows of each sequence see, [B or 1, R] each."""
    import torch

    edges = varlen.starts(case.T, varlen.sequence_count(case), rows.device, torch.int64)
    ids = torch.searchsorted(edges, rows, right=True) - 1
    first, end = edges[ids][None], edges[ids + 1][None]
    if case.options.get("causal", True):
        return first, rows[None]
    ends = torch.tensor(lengths(case.B, case.T, float(case.options.get("padding", 0.0))), device=rows.device)
    return first, torch.minimum(end, ends[:, None]) - 1


def _rows(q: Tensor, k: Tensor, v: Tensor, first: Tensor, last: Tensor) -> Tensor:
    """Return rows of o over the keys from first to last, [B or 1, R]; q: [B, R, H, K]; in slices."""
    import torch

    batch, tokens, heads, _ = k.shape
    size = min(q.shape[1], _rows_per_block(batch * tokens))
    width = max(1, SLICE_BYTES // (8 * batch * tokens * (size + k.shape[-1] + v.shape[-1])))
    positions, parts = torch.arange(tokens, device=q.device), []
    for start in range(0, heads, width):
        part = (slice(None), slice(None), slice(start, start + width))
        keys, values, blocks = k[part].double(), v[part].double(), []
        for rows in _blocks(q.shape[1], size):
            hidden = _hidden(positions, first[:, rows], last[:, rows])[:, None]  # [B or 1, 1, R, T]
            queries = q[:, rows][part].double() / math.sqrt(q.shape[-1])
            scores = torch.einsum("brhk,buhk->bhru", queries, keys)
            weights = scores.masked_fill_(hidden, -math.inf).softmax(-1)
            del scores
            blocks.append(torch.einsum("bhru,buhv->brhv", weights, values))
        parts.append(torch.cat(blocks, 1))
    return torch.cat(parts, 2)


def _hidden(keys: Tensor, first: Tensor, last: Tensor) -> Tensor:
    """Return the mask of keys before the first or after the last that a row sees, [..., R, keys]."""
    return (keys < first[..., None]) | (keys > last[..., None])


def _key_gradients(
    case: Case, q: Tensor, k: Tensor, v: Tensor, do: Tensor, positions: Tensor
) -> tuple[Tensor, Tensor]:
    """Return dk and dv at the sampled keys of a head of the last sequence, float64; q, k, v, do: [T, D]."""
    import torch

    scale = 1 / math.sqrt(q.shape[-1])
    sampled_k, sampled_v = k[positions], v[positions]
    dk, dv = torch.zeros_like(sampled_k), torch.zeros_like(sampled_v)
    for rows in _blocks(q.shape[0], _rows_per_block(q.shape[0])):
        row_positions = torch.arange(rows.start, rows.stop, device=q.device)
        first, last = (edge[-1] for edge in visible_range(case, row_positions))
        stop = int(last.max()) + 1
        scores = q[rows] @ k[:stop].T * scale
        scores.masked_fill_(_hidden(torch.arange(stop, device=q.device), first, last), -math.inf)
        total = scores.logsumexp(-1, keepdim=True)
        o = (scores - total).exp_() @ v[:stop]
        hidden = _hidden(positions, first, last)
        weights = (q[rows] @ sampled_k.T * scale - total).exp().masked_fill(hidden, 0.0)
        dv += weights.T @ do[rows]
        slopes = weights * (do[rows] @ sampled_v.T - (do[rows] * o).sum(-1, keepdim=True))
        dk += slopes.T @ q[rows] * scale
    return dk, dv


def _head_gradients(
    case: Case, q: Tensor, k: Tensor, v: Tensor, do: Tensor, batch: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return o, dq, dk and dv of a head of a sequence, float64, in blocks of rows; q, k, v, do: [T, D]."""
    import torch

    scale = 1 / math.sqrt(q.shape[-1])
    dq, dk, dv, outputs = torch.zeros_like(q), torch.zeros_like(k), torch.zeros_like(v), []
    for rows in _blocks(q.shape[0], _rows_per_block(k.shape[0])):
        edges = visible_range(case, torch.arange(rows.start, rows.stop, device=q.device))
        first, last = (edge[min(batch, len(edge) - 1)] for edge in edges)
        stop = int(last.max()) + 1
        scores = (q[rows] * scale) @ k[:stop].T
        hidden = _hidden(torch.arange(stop, device=q.device), first, last)
        weights = scores.masked_fill_(hidden, -math.inf).softmax(-1)
        del scores
        o = weights @ v[:stop]
        outputs.append(o)
        dv[:stop] += weights.T @ do[rows]
        slopes = do[rows] @ v[:stop].T
        slopes.sub_((do[rows] * o).sum(-1, keepdim=True)).mul_(weights)
        dq[rows] = slopes @ k[:stop] * scale
        dk[:stop] += slopes.T @ q[rows] * scale
    return torch.cat(outputs), dq, dk, dv


def _rows_per_block(tokens: int) -> int:
    """Return the rows whose float64 scores over the keys fit in a slice."""
    return max(1, SLICE_BYTES // (8 * tokens))


def _blocks(count: int, size: int) -> Iterator[slice]:
    """Yield slices of a number of rows."""
    for first in range(0, count, size):
        yield slice(first, min(first + size, count))
