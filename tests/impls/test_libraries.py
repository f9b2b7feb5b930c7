"""Peers: our adapters with stand-ins of the libraries, flex itself, and FLA's kernels if installed."""

import os
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from stand_ins import flash_attn_varlen, install
from test_contract import checked

from linbench import Case
from linbench.core.registry import registry
from linbench.measure.accuracy import complaint
from linbench_impls.sliding_window import libraries as window_libraries
from linbench_impls.softmax import libraries as softmax_libraries
from linbench_impls.toolkit import varlen

registry.load()
LIBRARIES = {
    found.name: found
    for found in registry.implementations()
    if Path(found.origin).name == "libraries.py" and not found.name.endswith("/flex")
}
SHORT = Case(1, 17, 2, 32, 64)
CASES = [
    Case(2, 65, 3, 32, 32),
    SHORT,
    *(
        SHORT.with_options(o)
        for o in (
            {"normalize": False},
            {"feature_map": "relu"},
            {"initial_state": True},
            {"negative_eigenvalues": True},
            {"gates": "near_zero"},
        )
    ),
    Case(1, 1, 2, 32, 32),
    Case(1, 70, 2, 32, 32, "bfloat16"),
    Case(1, 33, 2, 64, 64, "float16"),
    Case(1, 33, 2, 32, 32, "float16", options={"group": 2}),
    Case(1, 33, 2, 32, 32, "float16", options={"causal": False}),
    Case(1, 33, 2, 32, 32, "float16", options={"window": 16}),
    *(
        Case(1, 33, 2, 32, 32, dtype, options=options | {"varlen": 3})
        for dtype in ("float32", "float16")
        for options in ({}, {"causal": False, "group": 2}, {"normalize": False})
    ),
]
KEYWORDS = {  # what a library must be told, beside tensors
    "linear/fla-": {"scale": 1.0},
    "retention/fla-": {"scale": 32**-0.5},
    "lightning/fla-": {"scale": 32**-0.5},
    "simple_gla/fla-": {"scale": 32**-0.5},
    "gla/fla-": {"scale": 32**-0.5},
    "delta/fla-": {"scale": 32**-0.5},
    "gated_delta/fla-": {"scale": 32**-0.5},
    "kda/fla-": {"scale": 32**-0.5},
    "rwkv7/fla-": {"scale": 1.0},
    "log_linear/fla-": {"scale": 64**-0.5},
    "softmax/flash-": {"causal": True},
    "sliding_window/flash-": {"causal": True, "window_size": (15, 0)},
    "sliding_window/natten": {"is_causal": True, "kernel_size": 16},
}


@pytest.fixture
def calls(monkeypatch):
    """Put the stand-ins in, on a machine that says it is a Hopper; what they were called with."""
    found = []
    install(monkeypatch, found)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (9, 0))
    return found


def taken(implementation, mode):
    """Return the cases of a mode that an implementation would take on a CUDA device, as cases on the CPU."""
    operator = registry.operator(implementation.operator)
    cases = {case.id: case for case in (operator.complete(replace(case, mode=mode)) for case in CASES)}
    return [
        case
        for case in cases.values()
        if implementation.unsupported_reason(operator, replace(case, device="cuda")) is None
    ]


@pytest.mark.parametrize(
    ("name", "mode"), [(name, mode) for name in LIBRARIES for mode in LIBRARIES[name].modes]
)
def test_the_adapter_is_right_if_the_library_is(calls, name, mode):
    cases = taken(LIBRARIES[name], mode)
    assert cases
    for case in cases:
        found, _ = checked(LIBRARIES[name], case)
        assert complaint(found) is None, (case, found)
    due = next((due for start, due in KEYWORDS.items() if name.startswith(start)), {})
    keywords = [{name: keywords.get(name) for name in due} for _, keywords in calls]
    assert due in keywords or not due


@pytest.mark.parametrize("name", LIBRARIES)
def test_without_its_library_an_adapter_says_which_module_it_needs(monkeypatch, name):
    monkeypatch.setattr("linbench.core.implementation.find_spec", lambda _: None)
    reason = LIBRARIES[name].restriction(Case(1, 64, 2, 32, 32, "float16", device="cuda"))
    assert "needs the Python module" in reason
    assert "not installed" in reason


def test_asking_whether_libraries_run_imports_none_of_them():
    code = """
import sys
import linbench_impls
from linbench import Case
from linbench.core.registry import registry
libraries = [found for found in registry._implementations.values() if found.origin.endswith("libraries.py")]
assert libraries
for found in libraries:
    found.restriction(Case(1, 64, 2, 32, 32))
print(sorted({"torch", "fla", "flash_attn", "fast_transformers", "lightning_attn"} & set(sys.modules)))
"""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    run = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "[]"


@pytest.mark.usefixtures("calls")
@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        ("linear/fla-chunk", {"K": 17, "dtype": "float16", "mode": "fwd_bwd"}, "even K and V"),
        ("linear/fla-chunk", {"dtype": "float64"}, "not float64"),
        ("linear/fast-transformers", {"dtype": "float16"}, "supports float32"),
        ("linear/lightning-attn", {}, "ask for normalize=false"),
        ("linear/lightning-attn", {"K": 48, "options": {"normalize": False}}, "powers of two"),
        ("softmax/flash-attn-2", {"K": 16, "dtype": "float16"}, "takes K = V"),
        ("softmax/flash-attn-3", {"K": 20, "V": 20, "dtype": "float16"}, "multiples of 8"),
        ("lightning/lightning-attn", {"K": 48}, "multiples of 64"),
        ("lightning/lightning-attn", {"V": 16}, "V from 17"),
        ("delta/fla-chunk", {}, "supports float16, bfloat16, not float32"),
        ("gated_delta/fla-chunk", {"K": 512}, "K up to 256"),
        ("log_linear/fla-chunk", {}, "K in multiples of 64"),
        ("log_linear/fla-chunk", {"K": 64, "V": 48}, "power of two"),
        ("log_linear/fla-chunk", {"K": 64, "T": 30}, "T from 31"),
        ("mamba/mamba-ssm", {"dtype": "bfloat16"}, "supports float32"),
        ("sliding_window/natten", {"T": 63}, "takes T from the window, 64, not 63"),
        ("sliding_window/natten", {"V": 20}, "V in multiples of 8"),
    ],
)
def test_what_a_library_refuses_is_unsupported(name, change, reason):
    if name not in LIBRARIES:
        pytest.skip(f"there is no operator for {name}")
    assert reason in LIBRARIES[name].restriction(replace(Case(1, 64, 2, 32, 32, device="cuda"), **change))


@pytest.mark.usefixtures("calls")
def test_fast_transformers_without_its_cuda_kernels_is_unsupported():
    class OnCuda(torch.Tensor):
        is_cuda = True

    q = torch.ones(1, 2, 8, 16)
    with pytest.raises(NotImplementedError, match="built without nvcc"):
        LIBRARIES["linear/fast-transformers"].functions["fwd"](q.as_subclass(OnCuda), q, q)


def is_causal(row, column):
    return row >= column


def in_window(size):
    return lambda row, column: (row >= column) & (row - column < size)


def of_one_sequence(tokens, sequences, causal):
    owner = torch.repeat_interleave(torch.tensor(varlen.lengths(tokens, sequences)))
    return lambda row, column: (owner[row] == owner[column]) & ((row >= column) | (not causal))


@pytest.mark.parametrize(
    ("made", "given", "seen"),
    [
        *(
            (softmax_libraries.blocks, (tokens, True, 1), is_causal)
            for tokens in (1, 127, 128, 129, 300, 1024)
        ),
        *(
            (softmax_libraries.blocks, (tokens, causal, count), of_one_sequence(tokens, count, causal))
            for tokens, count in ((300, 3), (1024, 2), (1024, 32))
            for causal in (True, False)
        ),
        *(
            (window_libraries.blocks, (tokens, window), in_window(window))
            for tokens, window in ((300, 16), (1024, 128), (1000, 512), (512, 1024))
        ),
    ],
)
def test_a_block_mask_of_flex_is_what_torch_makes_of_the_whole(made, given, seen):
    from torch.nn.attention.flex_attention import create_block_mask, create_mask

    tokens = given[0]
    mask = made(*given, torch.device("cpu"))
    due = create_block_mask(lambda _b, _h, row, column: seen(row, column), None, None, tokens, tokens, "cpu")
    assert torch.equal(mask.to_dense(), due.to_dense())
    at = torch.arange(tokens)
    assert torch.equal(
        create_mask(mask.mask_mod, None, None, tokens, tokens, "cpu")[0, 0], seen(at[:, None], at)
    )
    for counts, indices in (("kv_num_blocks", "kv_indices"), ("full_kv_num_blocks", "full_kv_indices")):
        assert torch.equal(getattr(mask, counts), getattr(due, counts))
        for row, count in enumerate(getattr(mask, counts)[0, 0].tolist()):
            one, other = (getattr(some, indices)[0, 0, row, :count].tolist() for some in (mask, due))
            assert set(one) == set(other)


COMPILED = Case(1, 300, 2, 16, 16)


@pytest.fixture
def compiler():
    reason = registry.implementation("softmax/flex").unsupported_reason(
        registry.operator("softmax"), COMPILED
    )
    if reason is not None:
        pytest.skip(f"softmax/flex {reason}")


@pytest.mark.parametrize(
    ("name", "mode", "options"),
    [
        ("softmax", "fwd", {"varlen": 3}),
        ("sliding_window", "fwd", {"window": 16}),
        pytest.param("softmax", "fwd", {"causal": False, "group": 2}, marks=pytest.mark.whole),
        pytest.param("softmax", "prefill", {}, marks=pytest.mark.whole),
        pytest.param("softmax", "decode", {"group": 2}, marks=pytest.mark.whole),
    ],
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of what torch.compile imports
@pytest.mark.usefixtures("compiler")
def test_flex_is_compiled_and_right(name, mode, options):
    found, _ = checked(registry.implementation(f"{name}/flex"), replace(COMPILED, mode=mode, options=options))
    assert complaint(found) is None, found


@pytest.mark.parametrize("name", ["softmax", "sliding_window"])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of what torch.compile imports
@pytest.mark.usefixtures("compiler")
def test_flex_has_no_backward_on_the_cpu_and_never_runs_uncompiled(name):
    flex = registry.implementation(f"{name}/flex")
    assert "no backward on the CPU" in flex.restriction(replace(COMPILED, mode="fwd_bwd"))
    q = torch.randn(1, 2, 300, 16)
    with pytest.raises(torch._dynamo.exc.TorchDynamoException):
        flex.functions["fwd"](q, q.requires_grad_(), q)


def test_torch_is_told_of_varlen_sequences_what_its_varlen_attn_asks_for(monkeypatch):
    def varlen_attn(query, key, value, cu_seq_q, cu_seq_k, max_q, max_k, *, window_size, enable_gqa):
        assert enable_gqa == (query.shape[1] != key.shape[1])
        assert window_size in ((-1, 0), (-1, -1))
        causal = window_size == (-1, 0)
        return flash_attn_varlen(query, key, value, cu_seq_q, cu_seq_k, max_q, max_k, causal)

    monkeypatch.setattr("torch.nn.attention.varlen.varlen_attn", varlen_attn)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (9, 0))
    varlen, operator = registry.implementation("softmax/varlen"), registry.operator("softmax")
    for options in ({}, {"varlen": 3}, {"varlen": 2, "causal": False}, {"varlen": 3, "group": 2}):
        case = Case(1, 33, 2, 32, 32, "float16", options=options)
        assert varlen.unsupported_reason(operator, replace(case, device="cuda")) is None
        found, _ = checked(varlen, case)
        assert complaint(found) is None, (options, found)
    assert "B = 1, not 2" in varlen.restriction(Case(2, 33, 2, 32, 32, "float16", device="cuda"))


@pytest.mark.skipif(find_spec("triton") is None, reason="Triton is not installed")
@pytest.mark.parametrize(
    ("name", "kernel"),
    [
        ("linear", "linear_attention.linear_attention"),
        ("retention", "decayed_attention.decayed_attention"),
        ("simple_gla", "decayed_attention.decayed_attention"),
    ],
)
def test_triton_is_told_where_varlen_sequences_begin(monkeypatch, name, kernel):
    told = []
    monkeypatch.setattr(
        f"linbench_kernels.triton.{kernel}", lambda *_, **given: told.append(given["cu_seqlens"])
    )
    given = registry.operator(name).generate(Case(1, 33, 2, 16, 16), torch.Generator().manual_seed(0)).tensors
    function = registry.implementation(f"{name}/triton").function("fwd")
    for count in (1, 3):
        function(*given.values(), varlen=count)
    alone, edges = told
    assert alone is None
    assert edges.dtype == torch.int32
    assert edges.tolist() == [0, *torch.tensor(varlen.lengths(33, 3)).cumsum(0).tolist()]
