"""The base of operators whose state decays by one factor per head: float64 reference in two forms, costs."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from linbench import Case, Cost, Operator, Option, TensorSpec
from linbench.core.case import Scalar
from linbench_impls.families.decay import recurrence
from linbench_impls.toolkit import flops, varlen
from linbench_impls.toolkit.recurrence import INITIAL_STATE, QKV

if TYPE_CHECKING:
    from torch import Generator, Tensor

REFERENCE_CHUNK = 64

State = tuple["Tensor", ...]

LOG_GAMMA = TensorSpec("log_gamma", "H", differentiable=False, at_least_float32=True)


class Decay(Operator):
    """Causal linear attention whose state decays, S_t = exp(g_t) S_{t-1} + k_t v_t^T, o_t = K^-1/2 S_t^T q_t.

    q, k: [B, T, H, K]; v, o: [B, T, H, V]; S: [B, H, K, V], float32. The last input is the log-decay, one a
    head ([H]) or one a head and step ([B, T, H]), never above 0, float32. With varlen = n, B = 1, the row
    holds n sequences of different lengths, each of which starts from nothing; fwd and fwd_bwd alone.
    """

    inputs = (*QKV, LOG_GAMMA)
    state = (TensorSpec("S", "BHKV"),)
    options: ClassVar[Mapping[str, Option]] = {"initial_state": INITIAL_STATE, "varlen": varlen.VARLEN}

    def unsupported_reason(self, case: Case) -> str | None:
        """Return why sequences cannot be packed."""
        return varlen.unsupported_reason(case)

    @abstractmethod
    def memory(self, case: Case, generator: Generator) -> Tensor:
        """Return the sum over all steps back of the squared decay since, [H]: the variance of a state."""

    def draw_state(self, case: Case, generator: Generator) -> State:
        """Return S as random keys and values would leave it after T tokens."""
        from linbench.core.operator import magnitude

        variance = self.memory(case, generator).float().clamp(max=case.T)
        (S,) = super().draw_state(case, generator)
        return (S * magnitude(self.option_values(case)) * variance.sqrt()[:, None, None],)

    def steps(self, tensors: Mapping[str, Tensor]) -> Tensor:
        """Return the log-decay of every step, [B or 1, T, H]."""
        last = tensors[self.inputs[-1].name]
        return last if last.dim() > 1 else last.expand(1, tensors["q"].shape[1], -1)

    @varlen.by_sequence
    def reference(
        self, tensors: Mapping[str, Tensor], state: State | None, options: Mapping[str, Scalar]
    ) -> tuple[Tensor, State]:
        """Return output and final state chunk after chunk, the state carried from one to the next."""
        import torch

        del options
        q, k, v = (tensors[name] for name in "qkv")
        S = q.new_zeros(q.shape[0], *q.shape[2:], v.shape[-1]) if state is None else state[0]
        outputs = []
        parts = (x.split(REFERENCE_CHUNK, 1) for x in (q, k, v, self.steps(tensors)))
        for some_q, some_k, some_v, g in zip(*parts, strict=True):
            c = g.cumsum(1)  # [B, C, H]
            gap = c[:, :, None] - c[:, None]  # [B, t, s, H]
            size = gap.shape[1]
            past = torch.ones(size, size, dtype=torch.bool, device=q.device).tril()[:, :, None]
            decay = torch.where(past, gap, -math.inf).exp()
            scores = torch.einsum("bthk,bshk->btsh", some_q, some_k) * decay
            o = torch.einsum("btsh,bshv->bthv", scores, some_v)
            o = o + torch.einsum("bthk,bhkv->bthv", some_q * c.exp()[..., None], S)
            left = (c[:, -1:] - c).exp()[..., None]
            S = c[:, -1, :, None, None].exp() * S + torch.einsum("bthk,bthv->bhkv", some_k * left, some_v)
            outputs.append(o)
        return torch.cat(outputs, 1) / math.sqrt(q.shape[-1]), (S,)

    def recurrence(
        self, tensors: Mapping[str, Tensor], state: State | None, options: Mapping[str, Scalar]
    ) -> tuple[Tensor, State]:
        """Return output and final state token by token, as the definition says."""
        import torch

        q, k, v = (tensors[name] for name in "qkv")
        nothing = q.new_zeros(q.shape[0], *q.shape[2:], v.shape[-1])
        S = nothing if state is None else state[0]
        begins = varlen.begins(q.shape[1], int(options["varlen"]))
        outputs = []
        for t, g in enumerate(self.steps(tensors).unbind(1)):
            if t in begins:
                S = nothing
            S = g.exp()[..., None, None] * S + torch.einsum("bhk,bhv->bhkv", k[:, t], v[:, t])
            outputs.append(torch.einsum("bhkv,bhk->bhv", S, q[:, t]))
        return torch.stack(outputs, 1) / math.sqrt(q.shape[-1]), (S,)

    @varlen.by_sequence
    def plain(
        self, tensors: Mapping[str, Tensor], state: State | None, options: Mapping[str, Scalar]
    ) -> tuple[Tensor, State]:
        """Return output and final state by the parallel form: one weighted product over all tokens."""
        del options
        q, k, v = (tensors[name].transpose(1, 2) for name in "qkv")
        g = self.steps(tensors).transpose(1, 2)
        return recurrence.parallel(q, k, v, g, state).transpose(1, 2), recurrence.last_state(k, v, g, state)

    @varlen.cost_of_each
    def cost(self, case: Case) -> Cost:
        """Return the work of the cheaper of the recurrent and the parallel form, decays not counted."""
        work = flops.least(case, case.K, case.V)
        return Cost(float(work), self.input_bytes(case) + self.output_bytes(case))


class ConstantDecay(Decay):
    """A decay that is fixed for each head by the number of heads; it is an input, and has no gradient."""

    @abstractmethod
    def log_gamma(self, heads: int) -> Tensor:
        """Return log(gamma_h) of each head, [H], float64."""

    def draw(
        self, spec: TensorSpec, shape: tuple[int, ...], generator: Generator, options: Mapping[str, Scalar]
    ) -> Tensor:
        """Return random q, k and v, and the log-decays as they are defined."""
        if spec is LOG_GAMMA:
            return self.log_gamma(*shape).float().to(generator.device)
        return super().draw(spec, shape, generator, options)

    def memory(self, case: Case, generator: Generator) -> Tensor:
        """Return 1 / (1 - gamma_h^2); infinite where there is no decay."""
        return (-1 / (2 * self.log_gamma(case.H)).expm1()).to(generator.device)
