"""Operator mamba: a selective scan over channels, each with its own state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from linbench import Case, Option, TensorSpec, operator
from linbench.core.case import Scalar
from linbench.core.operator import magnitude
from linbench.core.tensor import normal
from linbench_impls.mamba import forms
from linbench_impls.toolkit import flops
from linbench_impls.toolkit.recurrence import GATES, INITIAL_STATE, Recurrence, State, gate_shift

if TYPE_CHECKING:
    from torch import Generator, Tensor

SHIFTS = (-4.6, -9.0, 2.0)
MEDIAN_DT = (0.01, 1.2e-4, 2.1)


@operator
class Mamba(Recurrence):
    """The selective scan of Mamba's S6, without projections, convolution and output gate.

    h_t = exp(dt_t A) * h_{t-1} + dt_t B_t u_t, y_t = C_t . h_t + D u_t, where K is the size of a channel's
    state and the channels are in H heads of V: u, dt, y: [B, T, H, V]; B, C: [B, T, K], the same for all
    channels; A: [H, K, V], below 0; D: [H, V]; h: [B, H, K, V], float32; dt and A are float32. A is the
    usual initialisation -1, -2, ... -K, times exp(x / 10); dt = softplus(x + a) with x normal and a = -4.6 (a
    median of 0.01, so that the first state keeps 99% per step), -9 (99.99%) or 2 (12%).
    """

    name = "mamba"
    title = "Selective scan (Mamba, S6)"
    source = "Gu and Dao 2023, Mamba, arXiv:2312.00752"
    inputs = (
        TensorSpec("u", "BTHV"),
        TensorSpec("dt", "BTHV", at_least_float32=True),
        TensorSpec("A", "HKV", at_least_float32=True),
        TensorSpec("B", "BTK"),
        TensorSpec("C", "BTK"),
        TensorSpec("D", "HV"),
    )
    output = TensorSpec("y", "BTHV")
    state = (TensorSpec("h", "BHKV"),)
    options: ClassVar[Mapping[str, Option]] = {"initial_state": INITIAL_STATE, "gates": GATES}

    def draw(
        self, spec: TensorSpec, shape: tuple[int, ...], generator: Generator, options: Mapping[str, Scalar]
    ) -> Tensor:
        """Return random u, B, C and D, steps dt and the transition A."""
        import torch
        import torch.nn.functional as F

        x = normal(shape, generator)
        if spec.name == "dt":
            return F.softplus(x + gate_shift(options, SHIFTS))
        if spec.name == "A":
            states = torch.arange(1, shape[1] + 1, device=x.device)[:, None]
            return -states * (x / 10).exp()
        return x * magnitude(options)

    def draw_state(self, case: Case, generator: Generator) -> State:
        """Return h with its variance after random inputs, dt / 2n for the state with decay n."""
        import torch

        options = self.option_values(case)
        (h,) = (normal(spec.shape(case, 1), generator) for spec in self.state)
        decays = torch.arange(1, case.K + 1, device=h.device)[:, None]
        spread = (gate_shift(options, MEDIAN_DT) / (2 * decays)).sqrt()
        return (h * spread * magnitude(options) ** 2,)

    def chunked(self, *tensors: Tensor, state: State | None) -> tuple[Tensor, State]:
        """Return output and final state by the chunked scan."""
        return forms.chunked(*tensors, state=state)

    def start(self, tensors: Mapping[str, Tensor]) -> State:
        """Return h before the first token: zero."""
        u, A = tensors["u"], tensors["A"]
        return (u.new_zeros(u.shape[0], *A.shape),)

    def step(self, state: State, token: Mapping[str, Tensor]) -> tuple[Tensor, State]:
        """Return the output of one token and the state after it."""
        import torch

        u, dt, B, C = (token[name] for name in ("u", "dt", "B", "C"))
        decay = torch.einsum("bhv,hkv->bhkv", dt, token["A"]).exp()
        h = decay * state[0] + torch.einsum("bhv,bhv,bk->bhkv", dt, u, B)
        return torch.einsum("bhkv,bk->bhv", h, C) + token["D"] * u, (h,)

    def least_flops(self, case: Case) -> float:
        """Return 8KV per token: dt A, the state times its exponent, dt B u and the readout."""
        return flops.recurrent(case, case.K, case.V, products=4)
