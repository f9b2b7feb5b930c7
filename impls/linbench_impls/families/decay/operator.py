"""Base class of operators with one decay per head: the float64 reference in two forms, and costs."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from linbench import Case, Cost, Operator, Option, TensorSpec
from linbench.core.case import Scalar
from linbench_impls.families.decay import recurrence
from linbench_impls.toolkit import flops, varlen
from linbench_impls.toolkit.chunks import decay_weights
from linbench_impls.toolkit.recurrence import INITIAL_STATE, QKV

if TYPE_CHECKING:
    from torch import Generator, Tensor

REFERENCE_CHUNK = 64

State = tuple["Tensor", ...]

LOG_GAMMA = TensorSpec("log_gamma", "H", differentiable=False, at_least_float32=True)


class Decay(Operator):
    """Causal linear attention whose state decays, S_t = exp(g_t) S_{t-1} + k_t v_t^T, o_t = K^-1/2 S_t^T q_t.

    q, k: [B, T, H, K]; v, o: [B, T, H, V]; S: [B, H, K, V], float32. The last input is the log-decay, one
    per head ([H]) or one per head and step ([B, T, H]), never above 0, float32. With varlen = n and B = 1,
    the row holds n sequences of different lengths, each with a zero initial state; fwd and fwd_bwd only.
    """

    inputs = (*QKV, LOG_GAMMA)
    state = (TensorSpec("S", "BHKV"),)
    options: ClassVar[Mapping[str, Option]] = {"initial_state": INITIAL_STATE, "varlen": varlen.VARLEN}

    def unsupported_reason(self, case: Case) -> str | None:
        """Return why the case cannot have varlen sequences, or None."""
        return varlen.unsupported_reason(case)

    @abstractmethod
    def state_variance(self, case: Case, generator: Generator) -> Tensor:
        """Return the variance of a state, [H]: the sum of the squared decays since each previous step."""

    def draw_state(self, case: Case, generator: Generator) -> State:
        """Return S with the variance that it has after T tokens of random keys and values."""
        from linbench.core.operator import magnitude

        variance = self.state_variance(case, generator).float().clamp(max=case.T)
        (S,) = super().draw_state(case, generator)
        return (S * magnitude(self.option_values(case)) * variance.sqrt()[:, None, None],)

    def steps(self, tensors: Mapping[str, Tensor]) -> Tensor:
        """Return the log-decay of every step, [B or 1, T, H]."""
        g = tensors[self.inputs[-1].name]
        return g if g.dim() > 1 else g.expand(1, tensors["q"].shape[1], -1)

    @varlen.per_sequence
    def reference(
        self, tensors: Mapping[str, Tensor], state: State | None, options: Mapping[str, Scalar]
    ) -> tuple[Tensor, State]:
        """Return output and final state chunk by chunk, the state carried from one to the next."""
        import torch

        del options
        q, k, v = (tensors[name] for name in "qkv")
        S = q.new_zeros(q.shape[0], *q.shape[2:], v.shape[-1]) if state is None else state[0]
        outputs = []
        chunks = (x.split(REFERENCE_CHUNK, 1) for x in (q, k, v, self.steps(tensors)))
        for q_c, k_c, v_c, g in zip(*chunks, strict=True):
            from_start = g.cumsum(1).exp()  # [B, C, H]
            decay = decay_weights(g.transpose(1, 2)[..., None]).squeeze(-1)  # [B, H, t, s]
            scores = torch.einsum("bthk,bshk->bhts", q_c, k_c) * decay
            o = torch.einsum("bhts,bshv->bthv", scores, v_c)
            o = o + torch.einsum("bthk,bhkv->bthv", q_c * from_start[..., None], S)
            to_end = decay[:, :, -1].transpose(1, 2)[..., None]
            S = from_start[:, -1, :, None, None] * S + torch.einsum("bthk,bthv->bhkv", k_c * to_end, v_c)
            outputs.append(o)
        return torch.cat(outputs, 1) / math.sqrt(q.shape[-1]), (S,)

    def recurrence(
        self, tensors: Mapping[str, Tensor], state: State | None, options: Mapping[str, Scalar]
    ) -> tuple[Tensor, State]:
        """Return output and final state token by token, by the definition."""
        import torch

        q, k, v = (tensors[name] for name in "qkv")
        zero = q.new_zeros(q.shape[0], *q.shape[2:], v.shape[-1])
        S = zero if state is None else state[0]
        first_tokens = varlen.first_tokens(q.shape[1], int(options["varlen"]))
        outputs = []
        for t, g in enumerate(self.steps(tensors).unbind(1)):
            if t in first_tokens:
                S = zero
            S = g.exp()[..., None, None] * S + torch.einsum("bhk,bhv->bhkv", k[:, t], v[:, t])
            outputs.append(torch.einsum("bhkv,bhk->bhv", S, q[:, t]))
        return torch.stack(outputs, 1) / math.sqrt(q.shape[-1]), (S,)

    @varlen.per_sequence
    def plain(
        self, tensors: Mapping[str, Tensor], state: State | None, options: Mapping[str, Scalar]
    ) -> tuple[Tensor, State]:
        """Return output and final state by the parallel form, one weighted product over all tokens."""
        del options
        q, k, v = (tensors[name].transpose(1, 2) for name in "qkv")
        g = self.steps(tensors).transpose(1, 2)
        return recurrence.parallel(q, k, v, g, state).transpose(1, 2), recurrence.last_state(k, v, g, state)

    @varlen.sum_cost
    def cost(self, case: Case) -> Cost:
        """Return the cost of the cheaper of the recurrent and the parallel form, without that of decays."""
        least = flops.least(case, case.K, case.V)
        return Cost(float(least), self.input_bytes(case) + self.output_bytes(case))


class ConstantDecay(Decay):
    """A decay that depends only on the head and the number of heads; it is an input without a gradient."""

    @abstractmethod
    def log_gamma(self, heads: int) -> Tensor:
        """Return log(gamma_h) of each head, [H], float64."""

    def draw(
        self, spec: TensorSpec, shape: tuple[int, ...], generator: Generator, options: Mapping[str, Scalar]
    ) -> Tensor:
        """Return random q, k and v, and the log-decays of the definition."""
        if spec is LOG_GAMMA:
            return self.log_gamma(*shape).float().to(generator.device)
        return super().draw(spec, shape, generator, options)

    def state_variance(self, case: Case, generator: Generator) -> Tensor:
        """Return 1 / (1 - gamma_h^2); infinite for a head without decay."""
        return (-1 / (2 * self.log_gamma(case.H)).expm1()).to(generator.device)
