"""The C++ kernels of linear attention: what they compute on every path, refuse, and how they are built."""

import os
import signal

import pytest
import torch
from torch import Tensor

from linbench_kernels.cpu import calls
from linbench_kernels.cpu import compile as cpp
from linbench_kernels.cpu.linear_attention import (
    State,
    linear_attention,
    linear_attention_decode,
    linear_attention_prefill,
)

PHI = {"elu1": lambda x: torch.nn.functional.elu(x) + 1, "relu": torch.relu, "identity": lambda x: x}
TOLERANCE = 1e-6  # of ||actual - exact|| / ||exact||
KEYS = ("q", "k", "v", "S", "z", "log_decay")
DECAYS = {
    "none": lambda *_: None,
    "constant": lambda _B, _T, H: -torch.linspace(0.01, 0.3, H),
    "given": lambda B, T, H: -0.3 * torch.rand(B, T, H),
    "strong": lambda B, T, H: -40 * torch.rand(B, T, H),  # e^-c overflows within a chunk
}
WIDE = [name for name in ("AVX512", "AVX2") if name == cpp.variant() or cpp.variant() == "AVX512"]

pytestmark = pytest.mark.skipif(cpp.compiler() is None, reason="there is no C++ compiler")


@pytest.fixture(params=[*WIDE, "DEFAULT"])
def variant(request, monkeypatch):
    """Runs a test on every variant that this CPU has, each built and loaded by its own flags."""
    monkeypatch.setattr(cpp, "variant", lambda: request.param)
    calls._function.cache_clear()
    yield request.param
    calls._function.cache_clear()


every_variant = pytest.mark.usefixtures("variant")


@pytest.fixture
def threads():
    """Sets the number of threads of torch, and puts it back."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def inputs(B: int, T: int, H: int, K: int, V: int, decay: str = "none", with_state: bool = True):
    """Random inputs by name, and a state such as tokens before them leave."""
    torch.manual_seed(T + K)
    named = {name: torch.randn(B, T, H, D) for name, D in (("q", K), ("k", K), ("v", V))}
    if with_state:
        named |= {"S": 5 * torch.randn(B, H, K, V), "z": 10 * torch.rand(B, H, K)}
    decays = DECAYS[decay](B, T, H)
    return named if decays is None else named | {"log_decay": decays}


def reference(named: dict[str, Tensor], feature_map: str, normalize: bool) -> tuple[Tensor, State]:
    """The recurrence, token by token."""
    q, k, v = PHI[feature_map](named["q"]), PHI[feature_map](named["k"]), named["v"]
    (B, T, H, K), V = q.shape, v.shape[3]
    S, z = named.get("S", q.new_zeros(B, H, K, V)), named.get("z", q.new_zeros(B, H, K))
    decays = named.get("log_decay", q.new_zeros(H)).exp().expand(B, T, H)
    outputs = []
    for t in range(T):
        decay = decays[:, t, :, None]
        S = decay[..., None] * S + k[:, t, :, :, None] * v[:, t, :, None]
        z = decay * z + k[:, t]
        o = torch.einsum("bhk,bhkv->bhv", q[:, t], S)
        if normalize:
            o = o / ((q[:, t] * z).sum(-1, keepdim=True) + 1e-6)
        outputs.append(o)
    return torch.stack(outputs, 1), (S, z)


def arguments(named: dict[str, Tensor]):
    state = (named["S"], named["z"]) if "S" in named else None
    return (named["q"], named["k"], named["v"]), {"state": state, "log_decay": named.get("log_decay")}


def error(actual: Tensor, exact: Tensor) -> float:
    assert actual.shape == exact.shape
    assert actual.dtype == torch.float32
    return float((actual.detach().double() - exact.detach()).norm() / exact.detach().norm().clamp_min(1e-12))


def check(named: dict[str, Tensor], feature_map: str = "elu1", normalize: bool = True) -> None:
    """Compares outputs, state and the gradient of every input with autograd in float64."""
    exact = {name: x.detach().double().requires_grad_() for name, x in named.items()}
    named = {name: x.detach().requires_grad_() for name, x in named.items()}
    tensors, keywords = arguments(named)
    options = {"feature_map": feature_map, "normalize": normalize}
    o, state = linear_attention_prefill(*tensors, **keywords, **options)
    due_o, due_state = reference(exact, **options)
    found, due = (o, *state), (due_o, *due_state)
    upstream = [torch.randn_like(x) for x in found]
    gradients = torch.autograd.grad(found, list(named.values()), upstream)
    due_gradients = torch.autograd.grad(due, list(exact.values()), [x.double() for x in upstream])
    errors = {name: error(a, e) for name, a, e in zip(("o", "S", "z"), found, due, strict=True)}
    due_of = dict(zip(exact, due_gradients, strict=True))
    size = {name: float(due.detach().norm()) for name, due in due_of.items()}
    terms = {"q": size["v"], "k": size["v"]}  # of the sums that dq and dk are, and in which terms may cancel
    if normalize and "z" in size:  # dz sums q_t (G_t . o_t) where dS sums q_t G_t^T
        terms["z"] = size["S"] * float(due_o.detach().norm(dim=-1).mean())
    terms["log_decay"] = sum(float((exact[name] * due_of[name]).detach().norm()) for name in "qk") + size["v"]
    for name, gradient in zip(named, gradients, strict=True):
        gap = float((gradient.double() - due_of[name]).norm())
        errors[f"d{name}"] = gap / max(size[name] + terms.get(name, 0), 1e-12)
    errors["dlog_decay"] = errors.get("dlog_decay", 0) / 3  # of some hundred terms
    assert max(errors.values()) <= TOLERANCE, errors
    alone = linear_attention(*tensors, **keywords, **options)
    torch.testing.assert_close(alone, o, rtol=0, atol=0)


@every_variant
@pytest.mark.parametrize(("feature_map", "normalize"), [("elu1", True), ("relu", True), ("identity", False)])
@pytest.mark.parametrize("decay", DECAYS)
def test_outputs_states_and_every_gradient(feature_map, normalize, decay):
    check(inputs(2, 70, 3, 16, 24, decay), feature_map, normalize)


@every_variant
@pytest.mark.parametrize(
    "shape", [(1, 1, 1, 1, 1), (2, 1, 3, 16, 16), (1, 31, 2, 3, 70), (1, 97, 1, 70, 5), (2, 32, 1, 64, 64)]
)
@pytest.mark.parametrize("with_state", [True, False])
def test_any_sizes(shape, with_state):
    check(inputs(*shape, with_state=with_state), normalize=False)
    if shape[3] > 1:
        check(inputs(*shape, with_state=with_state))


@pytest.mark.parametrize("decay", ["none", "given", "strong"])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_segments_and_threads(monkeypatch, threads, decay, count):
    threads(count)
    monkeypatch.setattr(calls, "MIN_SEGMENT", 40)
    assert calls.segment_length(230, 1, count) == {1: 230, 2: 58, 3: 40}[count]
    check(inputs(1, 230, 1, 16, 20, decay))
    check(inputs(2, 230, 2, 16, 20, decay))


def test_segments_are_cut_only_where_threads_would_idle():
    assert calls.segment_length(4096, 8, 2) == 4096
    assert calls.segment_length(4096, 1, 2) == 1024
    assert calls.segment_length(4096, 1, 64) == calls.MIN_SEGMENT
    assert calls.segment_length(100, 1, 64) == 100


@every_variant
def test_strided_inputs():
    named = inputs(2, 70, 3, 16, 24, "given")
    permuted = {name: x.transpose(0, 1).contiguous().transpose(0, 1) for name, x in named.items()}
    spread = {name: torch.stack([x, x + 1], -1)[..., 0] for name, x in named.items()}
    assert not any(x.is_contiguous() for x in (*permuted.values(), *spread.values()))
    (o, (S, z)), other = (linear_attention_prefill(*x, **y) for x, y in map(arguments, (named, permuted)))
    third = linear_attention_prefill(*arguments(spread)[0], **arguments(spread)[1])
    for p, (A, b) in (other, third):
        assert torch.equal(o, p)
        assert torch.equal(S, A)
        assert torch.equal(z, b)
    check(spread)


@every_variant
@pytest.mark.parametrize("decay", ["none", "constant", "given"])
@pytest.mark.parametrize("sizes", [(16, 24), (70, 5)])
def test_decode_goes_on_where_prefill_ends(decay, sizes):
    named = inputs(2, 9, 3, *sizes, decay)
    due, (due_S, due_z) = reference({name: x.double() for name, x in named.items()}, "elu1", True)
    state, decays = (named["S"].clone(), named["z"].clone()), named.get("log_decay")
    for t in range(9):
        row = [named[name][:, t : t + 1] for name in "qkv"]
        given = decays if decays is None or decays.dim() == 1 else decays[:, t : t + 1]
        before = [x.clone() for x in state]
        fresh, new = linear_attention_decode(*row, state, log_decay=given)
        assert all(map(torch.equal, before, state))
        o, same = linear_attention_decode(*row, state, log_decay=given, out=state)
        assert same is state
        assert torch.equal(o, fresh)
        assert all(map(torch.equal, state, new))
        assert error(o[:, 0], due[:, t]) <= TOLERANCE
    assert max(error(state[0], due_S), error(state[1], due_z)) <= TOLERANCE


@every_variant
@pytest.mark.parametrize("shift", [3.0, -4.0, -8.0])
def test_the_gradient_of_a_decay_is_right_by_its_own_size(shift):
    """Gates near zero: phi(q) . dphi(q) and phi(k) . dphi(k) are thousands of times their difference."""
    named = inputs(1, 127, 2, 32, 32, with_state=False)
    named["log_decay"] = torch.nn.functional.logsigmoid(torch.randn(1, 127, 2) + shift)
    exact = {name: x.double().requires_grad_() for name, x in named.items()}
    named = {name: x.requires_grad_() for name, x in named.items()}
    tensors, keywords = arguments(named)
    o = linear_attention(*tensors, **keywords, feature_map="identity", normalize=False)
    due_o, _ = reference(exact, "identity", False)
    upstream = torch.randn_like(o)
    (gradient,) = torch.autograd.grad(o, named["log_decay"], upstream)
    (due,) = torch.autograd.grad(due_o, exact["log_decay"], upstream.double())
    assert error(gradient, due) <= 3e-6


def test_forgetting_is_exact():
    named = inputs(1, 50, 2, 16, 16, with_state=False)
    decays = torch.zeros(1, 50, 2)
    decays[:, 20] = -torch.inf
    o = linear_attention(named["q"], named["k"], named["v"], log_decay=decays)
    after = linear_attention(*(named[name][:, 20:] for name in "qkv"))
    torch.testing.assert_close(o[:, 20:], after)


@pytest.mark.parametrize(("feature_map", "normalize"), [("elu1", True), ("elu1", False), ("identity", False)])
def test_error_at_16k_tokens(feature_map, normalize):
    named = inputs(1, 16384, 1, 64, 64, with_state=False)
    q, k, v = (x.double()[0, :, 0].split(256) for x in named.values())
    S, rows = torch.zeros(64, 65).double(), []
    for query, key, value in zip(map(PHI[feature_map], q), map(PHI[feature_map], k), v, strict=True):
        value = torch.cat([value, torch.ones(256, 1)], 1)  # the last column is the denominator
        rows.append((query @ key.T).tril() @ value + query @ S)
        S = S + key.T @ value
    exact = torch.cat(rows)
    exact = exact[:, :-1] / (exact[:, -1:] + 1e-6 if normalize else 1)
    o = linear_attention(*named.values(), feature_map=feature_map, normalize=normalize)
    assert error(o[0, :, 0], exact) <= 3e-7


def test_what_is_not_finite_reaches_later_tokens_of_its_head_only():
    named = inputs(1, 100, 2, 16, 16, with_state=False)
    named["k"][0, 42, 0, 3] = torch.nan
    o = linear_attention(*named.values())
    assert o[0, 42:, 0].isnan().all()
    assert o[0, :42, 0].isfinite().all()
    assert o[0, :, 1].isfinite().all()


def test_gradients_of_the_state_alone():
    named = {name: x.requires_grad_() for name, x in inputs(1, 40, 2, 16, 24, "given").items()}
    exact = {name: x.detach().double().requires_grad_() for name, x in named.items()}
    tensors, keywords = arguments(named)
    _, (S, _) = linear_attention_prefill(*tensors, **keywords)
    _, (due_S, _) = reference(exact, "elu1", True)
    for name in ("k", "v", "S", "log_decay"):
        (gradient,) = torch.autograd.grad(S.sum(), named[name], retain_graph=True)
        (due,) = torch.autograd.grad(due_S.sum(), exact[name], retain_graph=True)
        assert error(gradient, due) <= 2e-6, name


@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")  # torch's own doing
def test_torch_compile_keeps_one_graph():
    def attend(q, k, v, log_decay):
        return linear_attention(2 * q, k, v, log_decay=log_decay).sin()

    named = inputs(1, 70, 2, 16, 16, "given", with_state=False)
    leaves = [x.requires_grad_() for x in named.values()]
    compiled = torch.compile(attend, backend="aot_eager", fullgraph=True)
    results = []
    for function in (attend, compiled):
        o = function(*leaves)
        results.append((o, *torch.autograd.grad(o.sum(), leaves)))
    assert all(map(torch.equal, *results))


def test_a_child_of_a_fork_computes_alone():
    named = inputs(1, 600, 4, 16, 16)
    tensors, keywords = arguments(named)
    due = linear_attention(*tensors, **keywords)[0, -1, 0].tolist()  # the parent's threads are there
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(10)  # or it might wait forever for threads that it does not have
        os._exit(0 if linear_attention(*tensors, **keywords)[0, -1, 0].tolist() == due else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"feature_map": "exp"}, "feature_map is 'exp'; allowed: elu1, relu, identity"),
        ({"k": torch.zeros(1, 4, 2, 8)}, r"k \(1, 4, 2, 8\).*allowed: q and k \[B, T, H, K\]"),
        ({"q": torch.zeros(1, 5, 2, 16, dtype=torch.float64)}, "q is torch.float64 on cpu; allowed"),
        ({"log_decay": torch.zeros(5)}, r"log_decay is \(5,\); allowed: \(2,\)"),
        ({"state": (torch.zeros(1, 2, 3, 4), torch.zeros(1, 2, 16))}, r"state is S \(1, 2, 3, 4\)"),
        ({"v": torch.zeros(1, 5, 2, 0)}, "V = 0; allowed: from 1"),
    ],
)
def test_refusals_say_what_is_allowed(change, message):
    named = inputs(1, 5, 2, 16, 16, with_state=False) | change
    q, k, v = (named.pop(name) for name in "qkv")
    with pytest.raises(ValueError, match=message):
        linear_attention(q, k, v, **named)


def test_decode_refuses_what_it_would_lose():
    named = inputs(1, 2, 2, 16, 16)
    q, k, v, S, z = named.values()
    with pytest.raises(ValueError, match="decode takes T = 1; q has T = 2"):
        linear_attention_decode(q, k, v, (S, z))
    row = q[:, :1].requires_grad_(), k[:, :1], v[:, :1]
    with pytest.raises(RuntimeError, match="no gradient"):
        linear_attention_decode(*row, (S, z))
    with torch.no_grad(), pytest.raises(ValueError, match="out is"):
        linear_attention_decode(*row, (S, z), out=(S.transpose(2, 3), z))


def test_without_a_compiler_it_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setenv("CXX", str(tmp_path / "no-such-compiler"))
    monkeypatch.setenv("LINBENCH_CACHE_DIR", str(tmp_path))
    cpp.load_library.cache_clear()
    assert "install g++ or set CXX" in (cpp.unsupported_reason() or "")
    with pytest.raises(NotImplementedError, match="install g\\+\\+ or set CXX"):
        cpp.load_library(calls.SOURCE, "DEFAULT")


def test_a_refused_source_shows_what_the_compiler_said(monkeypatch, tmp_path):
    monkeypatch.setenv("LINBENCH_CACHE_DIR", str(tmp_path))
    source = tmp_path / "broken.cpp"
    source.write_text("int broken() { return nothing; }")
    with pytest.raises(RuntimeError, match=r"broken.cpp failed:(.|\n)*nothing"):
        cpp.load_library(source, "DEFAULT")
    assert not list(tmp_path.glob("cpu/*"))


def test_four_processes_build_at_once_and_leave_one_library(monkeypatch, tmp_path):
    monkeypatch.setenv("LINBENCH_CACHE_DIR", str(tmp_path))
    source = tmp_path / "answer.cpp"
    source.write_text('extern "C" int answer() { return 42; }')
    children = []
    for _ in range(4):
        child = os.fork()
        if child == 0:
            os._exit(cpp.load_library(source, "DEFAULT").answer())
        children.append(child)
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == 4 * [42]
    (made,) = tmp_path.glob("cpu/*")
    stamp = made.stat().st_mtime_ns
    assert cpp.load_library(source, "DEFAULT").answer() == 42
    assert made.stat().st_mtime_ns == stamp
    source.write_text('extern "C" int answer() { return 43; }')
    cpp.load_library.cache_clear()
    assert cpp.load_library(source, "DEFAULT").answer() == 43
