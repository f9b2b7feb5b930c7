"""Fakes of other libraries: the functions that the adapters call, in plain torch, as documented.

They have the layouts, scales and defaults of the libraries, so an adapter that uses a wrong one fails.
"""

import sys
from importlib.machinery import ModuleSpec
from types import ModuleType

import torch


def recurrence(q, k, v, log_decay, scale, S=None):
    """S_t = exp(g_t) S_{t-1} + k_t v_t^T, o_t = scale S_t^T q_t in float32; [B, T, H, *], g: [B, T, H]."""
    S = k.new_zeros(k.shape[0], *k.shape[2:], v.shape[-1], dtype=torch.float32) if S is None else S.float()
    outputs = []
    for t in range(q.shape[1]):
        S = S * log_decay[:, t, :, None, None].exp() + k[:, t, :, :, None].float() * v[:, t, :, None].float()
        outputs.append((S * q[:, t, :, :, None].float()).sum(-2) * scale)
    return torch.stack(outputs, 1), S


def no_decay(q):
    return q.new_zeros(q.shape[:3], dtype=torch.float32)


def with_cu_seqlens(kernel):
    """Return a kernel that computes each sequence of a row separately if it receives cu_seqlens."""

    def varlen_kernel(q, k, v, *positional, cu_seqlens=None, **keywords):
        if cu_seqlens is None:
            return kernel(q, k, v, *positional, **keywords)
        assert cu_seqlens.dtype == torch.int64
        assert q.shape[0] == 1
        sizes = cu_seqlens.diff().tolist()
        long = {name: x for name, x in keywords.items() if torch.is_tensor(x) and x.dim() == 3}
        parts = zip(*(x.split(sizes, 1) for x in (q, k, v, *long.values())), strict=True)
        outputs = []
        for part in parts:
            gates = dict(zip(long, part[3:], strict=True))
            outputs.append(kernel(*part[:3], *positional, **keywords | gates)[0])
        return torch.cat(outputs, 1), None

    return varlen_kernel


@with_cu_seqlens
def fla_linear(q, k, v, scale=None, initial_state=None, output_final_state=False, normalize=True):
    scale = k.shape[-1] ** -0.5 if scale is None else scale
    S, z = initial_state if isinstance(initial_state, tuple) else (initial_state, None)
    o, S = recurrence(q, k, v, no_decay(q), scale, S)
    S = S if output_final_state else None
    if not normalize:
        return o.to(v.dtype), S
    sums = k.float().cumsum(1) + (0 if z is None else z)
    o = o / ((q * scale * sums).sum(-1, keepdim=True) + 1e-10)
    return o.to(v.dtype if z is None else z.dtype), (S, sums[:, -1:])


@with_cu_seqlens
def fla_simple_gla(q, k, v, g=None, g_gamma=None, scale=None, initial_state=None, output_final_state=False):
    log_decay = no_decay(q) + (0 if g is None else g.float()) + (0 if g_gamma is None else g_gamma)
    o, S = recurrence(q, k, v, log_decay, k.shape[-1] ** -0.5 if scale is None else scale, initial_state)
    return o.to(v.dtype), S if output_final_state else None


def dplr_recurrence(q, k, v, g, a, b, scale, S):
    """S_t = diag(exp g_t) S_{t-1} + b_t (a_t^T S_{t-1}) + k_t v_t^T, o_t = scale S_t^T q_t in float32."""
    dtype = v.dtype
    q, k, v, g, a, b = (x.float() for x in (q, k, v, g, a, b))
    S = k.new_zeros(*k.shape[:1], *k.shape[2:], v.shape[-1]) if S is None else S.float()
    outputs = []
    for t in range(q.shape[1]):
        removal = torch.einsum("bhkv,bhk,bhl->bhlv", S, a[:, t], b[:, t])
        S = g[:, t, :, :, None].exp() * S + removal + k[:, t, :, :, None] * v[:, t, :, None]
        outputs.append(torch.einsum("bhkv,bhk->bhv", S, q[:, t]) * scale)
    return torch.stack(outputs, 1).to(dtype), S


def fla_gla(q, k, v, gate, scale, initial_state, output_final_state):
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    o, S = dplr_recurrence(q, k, v, gate, torch.zeros_like(k), k, scale, initial_state)
    return o, S if output_final_state else None


def fla_chunk_gla(q, k, v, g, scale=None, initial_state=None, output_final_state=False):
    return fla_gla(q, k, v, g, scale, initial_state, output_final_state)


def fla_recurrent_gla(q, k, v, gk=None, gv=None, scale=None, initial_state=None, output_final_state=False):
    assert gv is None
    gk = torch.zeros_like(k) if gk is None else gk
    return fla_gla(q, k, v, gk, scale, initial_state, output_final_state)


def fla_delta(
    q, k, v, beta, scale=None, initial_state=None, output_final_state=False, use_qk_l2norm_in_kernel=False
):
    assert not use_qk_l2norm_in_kernel
    gate = no_decay(q)
    return fla_gated_delta(
        q,
        k,
        v,
        gate,
        beta=beta,
        scale=scale,
        initial_state=initial_state,
        output_final_state=output_final_state,
    )


def fla_chunk_delta(q, k, v, beta, scale=None, initial_state=None, output_final_state=False):
    assert q.dtype != torch.float32
    return fla_delta(q, k, v, beta, scale, initial_state, output_final_state)


def fla_gated_delta(q, k, v, g, beta, scale=None, initial_state=None, output_final_state=False):
    g = (g if g.dim() == 4 else g[..., None]).float().expand(k.shape)
    scaled_keys = beta[..., None].float() * k
    scale = k.shape[-1] ** -0.5 if scale is None else scale
    o, S = dplr_recurrence(q, scaled_keys, v, g, g.exp() * k, -scaled_keys, scale, initial_state)
    return o, S if output_final_state else None


def fla_chunk_rwkv7(r, w, k, v, a, b, scale=1.0, initial_state=None, output_final_state=False):
    o, S = dplr_recurrence(r, k, v, w, a, b, scale, initial_state)
    return o, S if output_final_state else None


def fla_recurrent_rwkv7(r, w, k, v, a, b, scale=None, initial_state=None, output_final_state=True):
    scale = r.shape[-1] ** -0.5 if scale is None else scale
    return fla_chunk_rwkv7(r, w, k, v, a, b, scale, initial_state, output_final_state)


def fla_log_linear(q, k, v, g, level_scales, scale=1.0):
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    c, tokens = g.float().cumsum(1).transpose(1, 2), q.shape[1]  # [B, H, T]
    levels = torch.tensor([[(t ^ u).bit_length() for u in range(tokens)] for t in range(tokens)])
    weights = level_scales.transpose(1, 2).gather(-1, levels.expand(*c.shape[:2], -1, -1))
    causal = torch.ones(tokens, tokens).tril().bool()
    decay = (c[..., :, None] - c[..., None, :]).masked_fill(~causal, -torch.inf).exp()
    scores = torch.einsum("bthk,buhk->bhtu", q.float(), k.float()) * scale
    return torch.einsum("bhtu,buhv->bthv", scores * decay * weights, v.float()).to(v.dtype), None


def selective_scan(
    u, delta, A, B, C, D=None, z=None, delta_bias=None, delta_softplus=False, return_last_state=False
):
    assert z is delta_bias is None
    assert not delta_softplus
    h, outputs = u.new_zeros(*u.shape[:2], A.shape[1]), []
    for t in range(u.shape[2]):
        step = delta[:, :, t, None]  # [B, D, 1]
        h = (step * A).exp() * h + step * B[:, None, :, t] * u[:, :, t, None]
        outputs.append((h * C[:, None, :, t]).sum(-1))
    y = torch.stack(outputs, -1) + (0 if D is None else D[:, None] * u)
    return (y, h) if return_last_state else y


def lightning_attn(q, k, v, s=None):
    q, k, v = (x.transpose(1, 2) for x in (q, k, v))
    g = no_decay(q) - (0 if s is None else s)
    return recurrence(q, k, v, g, 1.0)[0].transpose(1, 2).to(v.dtype)


def mamba_scan(x, dt, A, B, C, chunk_size, initial_states=None, return_final_states=False):
    del chunk_size
    S = None if initial_states is None else initial_states.transpose(-1, -2)
    o, S = recurrence(C, B, x * dt[..., None], dt * A, 1.0, S)
    o = o.to(x.dtype)
    return (o, S.transpose(-1, -2)) if return_final_states else o


def causal_dot_product(Q, K, V):
    return (Q @ K.transpose(-1, -2)).tril() @ V


class FeatureMap:
    def __init__(self, activation_function):
        self.phi = activation_function

    @classmethod
    def factory(cls, *arguments):
        return lambda _: cls(*arguments)  # called with the query dimension


class RecurrentLinearAttention:
    def __init__(self, query_dimensions, feature_map=None, eps=1e-6):
        self.feature_map, self.eps = feature_map(query_dimensions), eps

    def __call__(self, query, key, value, state=None):
        q, k = (self.feature_map.phi(x) for x in (query, key))
        S, z = state
        z += k
        S += k[..., None] * value[..., None, :]
        return (q[..., None, :] @ S).squeeze(-2) / ((q * z).sum(-1, keepdim=True) + self.eps), [S, z]


def flash_attn(q, k, v, softmax_scale=None, causal=False, window_size=(-1, -1)):
    scale = q.shape[-1] ** -0.5 if softmax_scale is None else softmax_scale
    k, v = (x.repeat_interleave(q.shape[2] // x.shape[2], 2) for x in (k, v))
    scores = torch.einsum("bthd,buhd->bhtu", q.float(), k.float()) * scale
    if causal:  # the last query is at the last key
        hidden = torch.ones(q.shape[1], k.shape[1]).triu(k.shape[1] - q.shape[1] + 1).bool()
        scores = scores.masked_fill(hidden, -torch.inf)
    if window_size[0] >= 0:
        hidden = torch.ones(q.shape[1], k.shape[1]).tril(k.shape[1] - q.shape[1] - window_size[0] - 1).bool()
        scores = scores.masked_fill(hidden, -torch.inf)
    return torch.einsum("bhtu,buhd->bthd", scores.softmax(-1), v.float()).to(q.dtype)


def flash_attn_with_kvcache(q, k_cache, v_cache, k=None, v=None, cache_seqlens=None, causal=False):
    end = cache_seqlens + k.shape[1]
    k_cache[:, cache_seqlens:end], v_cache[:, cache_seqlens:end] = k, v
    return flash_attn(q, k_cache[:, :end], v_cache[:, :end], causal=causal)


def flash_attn_varlen(q, k, v, cu_seqlens_q, cu_seqlens_k, max_seqlen_q, max_seqlen_k, causal=False):
    assert q.dim() == k.dim() == v.dim() == 3
    sizes = [edges.diff().tolist() for edges in (cu_seqlens_q, cu_seqlens_k)]
    for edges, longest, size in zip(
        (cu_seqlens_q, cu_seqlens_k), (max_seqlen_q, max_seqlen_k), sizes, strict=True
    ):
        assert edges.dtype == torch.int32
        assert type(longest) is int
        assert longest == max(size)
    parts = zip(*(x.split(size) for x, size in zip((q, k, v), (*sizes, sizes[1]), strict=True)), strict=True)
    return torch.cat([flash_attn(*(x[None] for x in part), causal=causal)[0] for part in parts])


def na1d(query, key, value, kernel_size, stride=1, dilation=1, is_causal=False, scale=None):
    assert stride == dilation == 1
    assert 1 < kernel_size <= query.shape[1]
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    tokens = query.shape[1]
    positions = torch.arange(tokens)
    start = (
        positions - kernel_size + 1
        if is_causal
        else (positions - kernel_size // 2).clamp(0, tokens - kernel_size)
    )
    visible = (positions >= start[:, None]) & (positions < start[:, None] + kernel_size)
    scores = torch.einsum("bthd,buhd->bhtu", query.float(), key.float()) * scale
    weights = scores.masked_fill(~visible, -torch.inf).softmax(-1)
    return torch.einsum("bhtu,buhd->bthd", weights, value.float()).to(query.dtype)


FLASH = {
    "flash_attn_func": flash_attn,
    "flash_attn_varlen_func": flash_attn_varlen,
    "flash_attn_with_kvcache": flash_attn_with_kvcache,
}
LIBRARIES = {
    "fla.ops.linear_attn": {
        f"{form}_linear_attn": fla_linear for form in ("chunk", "fused_chunk", "fused_recurrent")
    },
    "fla.ops.simple_gla": {
        f"{form}_simple_gla": fla_simple_gla
        for form in ("chunk", "fused_chunk", "fused_recurrent", "parallel")
    },
    "fla.ops.gla": {"chunk_gla": fla_chunk_gla, "fused_recurrent_gla": fla_recurrent_gla},
    "fla.ops.delta_rule": {
        "chunk_delta_rule": fla_chunk_delta,
        "fused_recurrent_delta_rule": fla_delta,
    },
    "fla.ops.gated_delta_rule": {
        "chunk_gated_delta_rule": fla_gated_delta,
        "fused_recurrent_gated_delta_rule": fla_gated_delta,
    },
    "fla.ops.kda": {"chunk_kda": fla_gated_delta, "fused_recurrent_kda": fla_gated_delta},
    "fla.ops.rwkv7": {"chunk_rwkv7": fla_chunk_rwkv7, "fused_recurrent_rwkv7": fla_recurrent_rwkv7},
    "fla.ops.log_linear_attn": {"chunk_log_linear_attn": fla_log_linear},
    "fast_transformers.causal_product": {
        "causal_dot_product": causal_dot_product,
        "causal_dot_product_cuda": None,
    },
    "fast_transformers.feature_maps": {"ActivationFunctionFeatureMap": FeatureMap},
    "fast_transformers.recurrent.attention": {"RecurrentLinearAttention": RecurrentLinearAttention},
    "lightning_attn.ops": {"lightning_attn_func": lightning_attn},
    "lightning_attn.ops.triton": {"lightning_attn2_no_decay": lightning_attn},
    "mamba_ssm.ops.triton.ssd_combined": {"mamba_chunk_scan_combined": mamba_scan},
    "mamba_ssm.ops.selective_scan_interface": {"selective_scan_fn": selective_scan},
    "natten": {"na1d": na1d},
    "flash_attn": FLASH,
    "flash_attn_interface": FLASH,
}


def install(monkeypatch, calls):
    """Install every fake as its library; `calls` receives the function and keywords of each call."""
    modules = {}
    for path, contents in LIBRARIES.items():
        parts = path.split(".")
        for depth in range(1, len(parts) + 1):
            name = ".".join(parts[:depth])
            if name not in modules:
                modules[name] = ModuleType(name)
                modules[name].__spec__ = ModuleSpec(name, None)
                monkeypatch.setitem(sys.modules, name, modules[name])
                if depth > 1:
                    setattr(modules[".".join(parts[: depth - 1])], parts[depth - 1], modules[name])
        for name, value in contents.items():
            if callable(value) and not isinstance(value, type):
                value = record_calls(name, value, calls)
            setattr(modules[path], name, value)


def record_calls(name, function, calls):
    def call(*arguments, **keywords):
        calls.append((name, keywords))
        return function(*arguments, **keywords)

    return call
