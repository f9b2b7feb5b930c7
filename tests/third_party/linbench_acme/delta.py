"""An operator with a data-dependent gate, a beta and a delta update, and two implementations."""

import math

import torch
import torch.nn.functional as F

from linbench import Cost, Operator, TensorSpec, implementation, needs, operator


@operator
class AcmeDelta(Operator):
    """Gated DeltaNet.

    S' = exp(g_t) S_{t-1}; S_t = S' + beta_t k_t (v_t - S'^T k_t)^T; o_t = S_t^T q_t / sqrt(K), |k_t| = 1.
    """

    name = "acme_delta"
    title = "Delta rule with one scalar gate per head and step"
    source = "Yang et al. 2024, Gated Delta Networks, arXiv:2412.06464"
    inputs = (
        TensorSpec("q", "BTHK"),
        TensorSpec("k", "BTHK"),
        TensorSpec("v", "BTHV"),
        TensorSpec("g", "BTH"),
        TensorSpec("beta", "BTH"),
    )
    state = (TensorSpec("S", "BHKV"),)

    def draw(self, spec, shape, generator, options):
        """Return keys of unit length, log-decays slightly below 0 and betas in (0, 1)."""
        x = super().draw(spec, shape, generator, options)
        if spec.name == "k":
            return F.normalize(x, dim=-1)
        if spec.name == "g":
            return -F.softplus(x - 3)
        return torch.sigmoid(x) if spec.name == "beta" else x

    def reference(self, tensors, state, options):
        """Return output and state token by token."""
        del options
        q, k, v, g, beta = tensors.values()
        S = state[0] if state else k.new_zeros(*k[:, 0].shape, v.shape[-1])
        outputs = []
        for t in range(q.shape[1]):
            S = S * g[:, t, :, None, None].exp()
            error = v[:, t] - torch.einsum("bhkv,bhk->bhv", S, k[:, t])
            S = S + torch.einsum("bh,bhk,bhv->bhkv", beta[:, t], k[:, t], error)
            outputs.append(torch.einsum("bhkv,bhk->bhv", S, q[:, t]) / math.sqrt(q.shape[-1]))
        return torch.stack(outputs, 1), (S,)

    def cost(self, case):
        """Return the cost of the recurrent form."""
        flops = 6 * case.tokens * case.H * case.K * case.V
        return Cost(flops, self.input_bytes(case) + self.output_bytes(case))


@implementation(
    "acme_delta", "recurrent", unsupported_reason=needs(dtypes=("float32", "float16", "bfloat16"))
)
def recurrent(q, k, v, g, beta):
    """Recurrent form: one step per token; the state in float32."""
    return prefill(q, k, v, g, beta)[0]


@recurrent.mode("prefill")
def prefill(q, k, v, g, beta):
    """Return the output and the state after the last token."""
    return run(q, k, v, g, beta, (k.new_zeros(*k[:, 0].shape, v.shape[-1], dtype=torch.float32),))


@recurrent.mode("decode")
def decode(q, k, v, g, beta, *, state):
    """Return the output of one token and the state after it."""
    return run(q, k, v, g, beta, state)


def run(q, k, v, g, beta, state):
    (S,) = state
    outputs = []
    for t in range(q.shape[1]):
        key, value = k[:, t].float(), v[:, t].float()
        S = S * g[:, t, :, None, None].float().exp()
        S = (
            S
            + beta[:, t, :, None, None].float()
            * key[..., None]
            * (value - (key[..., None, :] @ S)[..., 0, :])[..., None, :]
        )
        outputs.append((q[:, t, :, None].float() @ S)[..., 0, :] / math.sqrt(q.shape[-1]))
    return torch.stack(outputs, 1).to(v.dtype), (S,)


@implementation("acme_delta", "undamped")
def undamped(q, k, v, g, beta):
    """Wrong on purpose: ignores the gate."""
    return run(
        q, k, v, torch.zeros_like(g), beta, (k.new_zeros(*k[:, 0].shape, v.shape[-1], dtype=torch.float32),)
    )[0]
