"""The exact results of softmax attention at a sample of positions, in memory O(T)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from linbench import Case, Expected, Inputs
from linbench_impls.softmax.padding import lengths

if TYPE_CHECKING:
    import torch
    from torch import Tensor

POSITIONS = 64
SLICE_BYTES = 2**29


def sampled_positions(tokens: int, seed: int, device: torch.device) -> Tensor:
    """Return sorted positions along T: the first, the last, and some drawn from the seed."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randint(0, tokens, (POSITIONS - 2,), generator=generator)
    positions: Tensor = torch.cat([drawn, torch.tensor([0, tokens - 1])]).unique()
    return positions.to(device)


def sampled_output(case: Case, inputs: Inputs, positions: Tensor) -> dict[str, Expected]:
    """Return o at the sampled rows (the one row, in decode), and the cache at the sampled slots."""
    import torch

    q, k, v = (inputs.tensors[name] for name in "qkv")
    if case.mode == "decode":
        if inputs.state is not None:
            k, v = (torch.cat([cache[:, :-1], x], 1) for cache, x in zip(inputs.state, (k, v), strict=True))
            positions = torch.cat([positions, positions.new_tensor([case.T])])
        rows = torch.tensor([[k.shape[1] - 1]], device=q.device)
        o = _rows(q[:, -1:], k, v, rows)
        found = {"o": Expected(o)}
    else:
        found = {
            "o": Expected(_rows(q[:, positions], k, v, last_seen(case, positions)), (slice(None), positions))
        }
    if case.mode == "prefill" or inputs.state is not None:
        slots = (slice(None), positions)
        found |= {
            "k_cache": Expected(k[slots].double(), slots),
            "v_cache": Expected(v[slots].double(), slots),
        }
    return found


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
    for head in range(case.H):  # a head at a time: the graph holds the scores of the sampled rows
        some = (slice(None), slice(None), slice(head, head + 1))
        o = _rows(queries[some], k[some], v[some], last_seen(case, positions))
        outputs.append(o.detach())
        gradients.append(torch.autograd.grad(o, queries, upstream[rows][some])[0])
    dq = torch.stack(gradients).sum(0)
    shares = []
    last = None if case.options.get("causal", True) else int(last_seen(case, positions)[-1, 0])
    for head in range(case.H - group, case.H):
        one = (case.B - 1, slice(None), head)
        q_one, k_one, v_one, do = (x[one].double() for x in (inputs.tensors["q"], k, v, upstream))
        shares.append(_key_gradients(q_one, k_one, v_one, do, positions, last))
    dk, dv = (torch.stack(parts).sum(0) for parts in zip(*shares, strict=True))
    keys = (case.B - 1, positions, case.H // group - 1)
    return {
        "o": Expected(torch.cat(outputs, 2), rows),
        "dq": Expected(dq, rows),
        "dk": Expected(dk, keys),
        "dv": Expected(dv, keys),
    }


def last_seen(case: Case, positions: Tensor) -> Tensor:
    """Return the last key that each sampled row sees, [B or 1, R]."""
    import torch

    if case.options.get("causal", True):
        return positions[None]
    ends = lengths(case.B, case.T, float(case.options.get("padding", 0.0)))
    return torch.tensor(ends, device=positions.device)[:, None].expand(-1, len(positions)) - 1


def _rows(q: Tensor, k: Tensor, v: Tensor, positions: Tensor) -> Tensor:
    """Return rows of o that see the keys to `positions`, [B or 1, R]; q: [B, R, H, K]; by a few heads."""
    import torch

    batch, tokens, heads, _ = k.shape
    width = max(1, SLICE_BYTES // (8 * batch * tokens * (q.shape[1] + k.shape[-1] + v.shape[-1])))
    later = torch.arange(tokens, device=q.device) > positions[:, None, :, None]  # [B or 1, 1, R, T]
    parts = []
    for first in range(0, heads, width):
        some = slice(first, first + width)
        scores = torch.einsum("brhk,buhk->bhru", q[:, :, some].double(), k[:, :, some].double())
        weights = (scores / math.sqrt(q.shape[-1])).masked_fill(later, -math.inf).softmax(-1)
        parts.append(torch.einsum("bhru,buhv->brhv", weights, v[:, :, some].double()))
    return torch.cat(parts, 2)


def _key_gradients(
    q: Tensor, k: Tensor, v: Tensor, do: Tensor, positions: Tensor, last: int | None
) -> tuple[Tensor, Tensor]:
    """Return dk and dv at the sampled keys of one head; q, k: [T, K], v, do: [T, V], float64.

    Every row sees the keys to `last`; where it is None, those to itself.
    """
    import torch

    scale = 1 / math.sqrt(q.shape[-1])
    some_k, some_v = k[positions], v[positions]
    dk, dv = torch.zeros_like(some_k), torch.zeros_like(some_v)
    for rows in _row_blocks(q.shape[0]):
        at = torch.arange(rows.start, rows.stop, device=q.device)
        if last is not None:
            at = torch.full_like(at, last)
        stop = rows.stop if last is None else last + 1
        scores = q[rows] @ k[:stop].T * scale
        scores.masked_fill_(torch.arange(stop, device=q.device) > at[:, None], -math.inf)
        total = scores.logsumexp(-1, keepdim=True)
        o = (scores - total).exp_() @ v[:stop]
        weights = (q[rows] @ some_k.T * scale - total).exp().masked_fill(positions > at[:, None], 0.0)
        dv += weights.T @ do[rows]
        slopes = weights * (do[rows] @ some_v.T - (do[rows] * o).sum(-1, keepdim=True))
        dk += slopes.T @ q[rows] * scale
    return dk, dv


def _row_blocks(tokens: int) -> Iterator[slice]:
    rows = max(1, SLICE_BYTES // (8 * tokens))
    for first in range(0, tokens, rows):
        yield slice(first, min(first + rows, tokens))
