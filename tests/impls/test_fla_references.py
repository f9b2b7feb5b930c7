"""flash-linear-attention's plain-torch references compared with linbench's references, if installed."""

import importlib.util
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest
import torch

from linbench import Case
from linbench.core.registry import registry

registry.load()
FLA: ModuleSpec | None = importlib.util.find_spec("fla")
pytestmark = pytest.mark.skipif(FLA is None, reason="flash-linear-attention is not installed")
CASE = Case(2, 128, 3, 16, 24)  # T is a multiple of FLA's chunks, as most of its chunked references require
FLOAT32 = 3e-6


def heads_first(*tensors):
    return [x.transpose(1, 2) for x in tensors]


def elu_plus_one(x):
    return torch.nn.functional.elu(x) + 1


def linear(form, t, state):
    del state
    o = form(elu_plus_one(t["q"]), elu_plus_one(t["k"]), t["v"], scale=1.0, normalize=True)
    return o[0] if isinstance(o, tuple) else o, None


def retention(form, t, state):
    del state
    return form(*heads_first(t["q"], t["k"], t["v"])).transpose(1, 2), None


def gated(form, t, state):
    result = form(t["q"], t["k"], t["v"], t["g"], initial_state=state, output_final_state=True)
    return result if isinstance(result, tuple) else (result, None)


def gated_parallel(form, t, state):
    del state
    return form(t["q"], t["k"], t["v"], t["g"])[0], None


def delta(form, t, state):
    tensors = heads_first(t["q"], t["k"], t["v"], t["beta"])
    o, S = form(*tensors, state) if state is not None else form(*tensors)
    return o.transpose(1, 2), S


def delta_chunk(form, t, state):
    del state
    o, S = form(*heads_first(t["q"], t["k"], t["v"], t["beta"]))
    return o.transpose(1, 2), S


def delta_parallel(form, t, state):
    del state
    return form(*heads_first(t["q"], t["k"], t["v"], t["beta"]))[0].transpose(1, 2), None


def gated_delta(form, t, state):
    return form(
        t["q"], t["k"], t["v"], g=t["g"], beta=t["beta"], initial_state=state, output_final_state=True
    )


def dplr(form, t, state):
    tensors = heads_first(t["q"], t["k"], t["v"], -t["kappa"], t["alpha"] * t["kappa"], t["g"])
    tensors[0] = tensors[0] * t["q"].shape[-1] ** 0.5  # FLA's DPLR scales q, RWKV-7 does not
    o, S = form(*tensors, initial_state=state)
    return o.transpose(1, 2), S


def log_linear(form, t, state):
    del state
    return form(t["q"], t["k"], t["v"], t["g"], t["lam"], scale=None), None


REFERENCES = [
    ("linear", "linear_attn/naive.py", "naive_recurrent_linear_attn", linear),
    ("linear", "linear_attn/naive.py", "naive_chunk_linear_attn", linear),
    ("retention", "retention/naive.py", "naive_retention", retention),
    ("simple_gla", "simple_gla/naive.py", "naive_recurrent_simple_gla", gated),
    ("simple_gla", "simple_gla/naive.py", "naive_chunk_simple_gla", gated),
    ("simple_gla", "simple_gla/naive.py", "naive_parallel_simple_gla", gated_parallel),
    ("gla", "gla/naive.py", "naive_recurrent_gla", gated),
    ("delta", "delta_rule/naive.py", "delta_rule_recurrence", delta),
    ("delta", "delta_rule/naive.py", "delta_rule_chunkwise", delta_chunk),
    ("delta", "delta_rule/naive.py", "delta_rule_parallel", delta_parallel),
    ("gated_delta", "gated_delta_rule/naive.py", "naive_recurrent_gated_delta_rule", gated_delta),
    ("gated_delta", "gated_delta_rule/naive.py", "naive_chunk_gated_delta_rule", gated_delta),
    ("kda", "kda/naive.py", "naive_recurrent_kda", gated_delta),
    ("kda", "kda/naive.py", "naive_chunk_kda", gated_delta),
    ("rwkv7", "generalized_delta_rule/dplr/naive.py", "dplr_recurrence", dplr),
    ("rwkv7", "generalized_delta_rule/dplr/naive.py", "dplr_chunkwise", dplr),
    ("log_linear", "log_linear_attn/naive.py", "naive_log_linear_attn", log_linear),
]
GATES = ("typical", "near_one", "near_zero")


def load_file(path):
    """Return a module of fla, loaded from its file: its packages import Triton, which looks for a device."""
    spec = importlib.util.spec_from_file_location(
        f"reference_{path.replace('/', '_')[:-3]}", Path(FLA.submodule_search_locations[0]) / "ops" / path
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


STATEFUL = (gated, delta, gated_delta, dplr)


def parameters():
    for name, path, function, adapter in REFERENCES:
        for gates in GATES if "gates" in registry.operator(name).options else GATES[:1]:
            for stateful in (False, True) if adapter in STATEFUL else (False,):
                case_name = f"{function}-{gates}{'-state' if stateful else ''}"
                yield pytest.param(name, path, function, adapter, gates, stateful, id=case_name)


@pytest.mark.parametrize(("name", "path", "function", "adapter", "gates", "stateful"), list(parameters()))
def test_the_references_of_fla_and_linbench_agree_in_float32(name, path, function, adapter, gates, stateful):
    operator = registry.operator(name)
    case = operator.complete(CASE.with_options({"gates": gates, "initial_state": stateful}))
    inputs = operator.generate(case, torch.Generator().manual_seed(0))
    tensors, state = inputs.tensors, inputs.state[0] if stateful else None
    wide = {key: value.double() for key, value in tensors.items()}
    before = (state.double(),) if stateful else None
    expected, (S, *_) = operator.reference(wide, before, operator.option_values(case))
    o, final = adapter(getattr(load_file(path), function), tensors, state)
    assert torch.linalg.norm(o - expected) <= FLOAT32 * torch.linalg.norm(expected)
    if final is not None:
        assert torch.linalg.norm(final - S) <= FLOAT32 * torch.linalg.norm(S)
