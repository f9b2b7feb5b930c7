"""The C++ kernels of linear attention: results on every code path, rejected arguments, and compilation."""

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
TOLERANCE = 1e-6  # of ||actual - expected|| / ||expected||
DECAYS = {
    "none": lambda *_: None,
    "constant": lambda _B, _T, H: -torch.linspace(0.01, 0.3, H),
    "per token": lambda B, T, H: -0.3 * torch.rand(B, T, H),
    "strong": lambda B, T, H: -40 * torch.rand(B, T, H),  # e^-c overflows within a chunk
}
WIDE = [name for name in ("AVX512", "AVX2") if name == cpp.variant() or cpp.variant() == "AVX512"]

pytestmark = pytest.mark.skipif(cpp.compiler() is None, reason="there is no C++ compiler")


@pytest.fixture(params=[*WIDE, "DEFAULT"])
def variant(request, monkeypatch):
    """Runs a test on every variant that this CPU supports, each built with its own flags."""
    monkeypatch.setattr(cpp, "variant", lambda: request.param)
    calls._function.cache_clear()
    yield request.param
    calls._function.cache_clear()


every_variant = pytest.mark.usefixtures("variant")


@pytest.fixture
def threads():
    """Sets the number of threads of torch, and restores it."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def inputs(B: int, T: int, H: int, K: int, V: int, decay: str = "none", with_state: bool = True):
    """Returns random inputs by name, with a state as previous tokens would leave it."""
    torch.manual_seed(T + K)
    tensors = {name: torch.randn(B, T, H, D) for name, D in (("q", K), ("k", K), ("v", V))}
    if with_state:
        tensors |= {"S": 5 * torch.randn(B, H, K, V), "z": 10 * torch.rand(B, H, K)}
    decays = DECAYS[decay](B, T, H)
    return tensors if decays is None else tensors | {"log_decay": decays}


def reference(tensors: dict[str, Tensor], feature_map: str, normalize: bool) -> tuple[Tensor, State]:
    """Returns the results of the recurrence, token by token."""
    q, k, v = PHI[feature_map](tensors["q"]), PHI[feature_map](tensors["k"]), tensors["v"]
    (B, T, H, K), V = q.shape, v.shape[3]
    S, z = tensors.get("S", q.new_zeros(B, H, K, V)), tensors.get("z", q.new_zeros(B, H, K))
    decays = tensors.get("log_decay", q.new_zeros(H)).exp().expand(B, T, H)
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


def arguments(tensors: dict[str, Tensor]):
    state = (tensors["S"], tensors["z"]) if "S" in tensors else None
    return (tensors["q"], tensors["k"], tensors["v"]), {"state": state, "log_decay": tensors.get("log_decay")}


def error(actual: Tensor, expected: Tensor) -> float:
    assert actual.shape == expected.shape
    assert actual.dtype == torch.float32
    expected = expected.detach()
    return float((actual.detach().double() - expected).norm() / expected.norm().clamp_min(1e-12))


def check(tensors: dict[str, Tensor], feature_map: str = "elu1", normalize: bool = True) -> None:
    """Compares outputs, state and the gradient of every input with the float64 reference."""
    exact = {name: x.detach().double().requires_grad_() for name, x in tensors.items()}
    tensors = {name: x.detach().requires_grad_() for name, x in tensors.items()}
    qkv, keywords = arguments(tensors)
    options = {"feature_map": feature_map, "normalize": normalize}
    o, state = linear_attention_prefill(*qkv, **keywords, **options)
    expected_o, expected_state = reference(exact, **options)
    actual, expected = (o, *state), (expected_o, *expected_state)
    upstream = [torch.randn_like(x) for x in actual]
    gradients = torch.autograd.grad(actual, list(tensors.values()), upstream)
    expected_gradients = torch.autograd.grad(expected, list(exact.values()), [x.double() for x in upstream])
    errors = {name: error(a, e) for name, a, e in zip(("o", "S", "z"), actual, expected, strict=True)}
    expected_gradient = dict(zip(exact, expected_gradients, strict=True))
    size = {name: float(gradient.detach().norm()) for name, gradient in expected_gradient.items()}
    terms = {"q": size["v"], "k": size["v"]}  # of the sums dq and dk, whose terms may cancel
    if normalize and "z" in size:  # dz sums q_t (G_t . o_t), and dS sums q_t G_t^T
        terms["z"] = size["S"] * float(expected_o.detach().norm(dim=-1).mean())
    terms["log_decay"] = (
        sum(float((exact[name] * expected_gradient[name]).detach().norm()) for name in "qk") + size["v"]
    )
    for name, gradient in zip(tensors, gradients, strict=True):
        difference = float((gradient.double() - expected_gradient[name]).norm())
        errors[f"d{name}"] = difference / max(size[name] + terms.get(name, 0), 1e-12)
    errors["dlog_decay"] = errors.get("dlog_decay", 0) / 3  # a sum of some hundred terms
    assert max(errors.values()) <= TOLERANCE, errors
    outputs = linear_attention(*qkv, **keywords, **options)
    torch.testing.assert_close(outputs, o, rtol=0, atol=0)


@every_variant
@pytest.mark.parametrize(("feature_map", "normalize"), [("elu1", True), ("relu", True), ("identity", False)])
@pytest.mark.parametrize("decay", DECAYS)
def test_outputs_states_and_gradients_match_the_reference(feature_map, normalize, decay):
    check(inputs(2, 70, 3, 16, 24, decay), feature_map, normalize)


@every_variant
@pytest.mark.parametrize(
    "shape", [(1, 1, 1, 1, 1), (2, 1, 3, 16, 16), (1, 31, 2, 3, 70), (1, 97, 1, 70, 5), (2, 32, 1, 64, 64)]
)
@pytest.mark.parametrize("with_state", [True, False])
def test_arbitrary_sizes(shape, with_state):
    check(inputs(*shape, with_state=with_state), normalize=False)
    if shape[3] > 1:
        check(inputs(*shape, with_state=with_state))


@pytest.mark.parametrize("decay", ["none", "per token", "strong"])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_segments_and_threads(monkeypatch, threads, decay, count):
    threads(count)
    monkeypatch.setattr(calls, "MIN_SEGMENT", 40)
    assert calls.segment_length(230, 1, count) == {1: 230, 2: 58, 3: 40}[count]
    check(inputs(1, 230, 1, 16, 20, decay))
    check(inputs(2, 230, 2, 16, 20, decay))


def test_segments_are_used_only_if_threads_would_be_idle():
    assert calls.segment_length(4096, 8, 2) == 4096
    assert calls.segment_length(4096, 1, 2) == 1024
    assert calls.segment_length(4096, 1, 64) == calls.MIN_SEGMENT
    assert calls.segment_length(100, 1, 64) == 100


@every_variant
def test_strided_inputs():
    tensors = inputs(2, 70, 3, 16, 24, "per token")
    permuted = {name: x.transpose(0, 1).contiguous().transpose(0, 1) for name, x in tensors.items()}
    spread = {name: torch.stack([x, x + 1], -1)[..., 0] for name, x in tensors.items()}
    assert not any(x.is_contiguous() for x in (*permuted.values(), *spread.values()))
    (o, (S, z)), *results = (
        linear_attention_prefill(*qkv, **keywords)
        for qkv, keywords in map(arguments, (tensors, permuted, spread))
    )
    for strided_o, (strided_S, strided_z) in results:
        assert torch.equal(o, strided_o)
        assert torch.equal(S, strided_S)
        assert torch.equal(z, strided_z)
    check(spread)


@every_variant
@pytest.mark.parametrize("decay_kind", ["none", "constant", "per token"])
@pytest.mark.parametrize("sizes", [(16, 24), (70, 5)])
def test_decode_continues_from_a_state(decay_kind, sizes):
    tensors = inputs(2, 9, 3, *sizes, decay_kind)
    expected, (expected_S, expected_z) = reference(
        {name: x.double() for name, x in tensors.items()}, "elu1", True
    )
    state, decays = (tensors["S"].clone(), tensors["z"].clone()), tensors.get("log_decay")
    for t in range(9):
        row = [tensors[name][:, t : t + 1] for name in "qkv"]
        decay = decays if decays is None or decays.dim() == 1 else decays[:, t : t + 1]
        before = [x.clone() for x in state]
        expected_in_place, new_state = linear_attention_decode(*row, state, log_decay=decay)
        assert all(map(torch.equal, before, state))
        o, returned_state = linear_attention_decode(*row, state, log_decay=decay, out=state)
        assert returned_state is state
        assert torch.equal(o, expected_in_place)
        assert all(map(torch.equal, state, new_state))
        assert error(o[:, 0], expected[:, t]) <= TOLERANCE
    assert max(error(state[0], expected_S), error(state[1], expected_z)) <= TOLERANCE


@every_variant
@pytest.mark.parametrize("shift", [3.0, -4.0, -8.0])
def test_the_relative_error_of_the_gradient_of_a_decay(shift):
    """With gates near zero, phi(q) . dphi(q) and phi(k) . dphi(k) are thousands of times their difference."""
    assert decay_gradient_error(127, 32, shift) <= 3e-6


@every_variant
@pytest.mark.parametrize("segment", [None, 100, 256])
def test_the_relative_error_of_the_gradient_of_a_decay_does_not_grow_with_t(monkeypatch, segment):
    if segment:
        monkeypatch.setattr(calls, "segment_length", lambda *_: segment)
    assert decay_gradient_error(1000, 128, 3.0) <= 1.5e-6
    assert decay_gradient_error(64, 8, 3.0) <= 1.5e-6
    assert decay_gradient_error(65, 8, 3.0) <= 1.5e-6


def decay_gradient_error(T, D, shift):
    """Return the relative error of the gradient of log-decays log sigmoid(x + shift), x normal."""
    tensors = inputs(1, T, 2, D, D, with_state=False)
    tensors["log_decay"] = torch.nn.functional.logsigmoid(torch.randn(1, T, 2) + shift)
    exact = {name: x.double().requires_grad_() for name, x in tensors.items()}
    tensors = {name: x.requires_grad_() for name, x in tensors.items()}
    qkv, keywords = arguments(tensors)
    o = linear_attention(*qkv, **keywords, feature_map="identity", normalize=False)
    expected_o, _ = reference(exact, "identity", False)
    upstream = torch.randn_like(o)
    (gradient,) = torch.autograd.grad(o, tensors["log_decay"], upstream)
    (expected,) = torch.autograd.grad(expected_o, exact["log_decay"], upstream.double())
    return error(gradient, expected)


def test_a_decay_of_minus_infinity_clears_the_state():
    tensors = inputs(1, 50, 2, 16, 16, with_state=False)
    decays = torch.zeros(1, 50, 2)
    decays[:, 20] = -torch.inf
    o = linear_attention(tensors["q"], tensors["k"], tensors["v"], log_decay=decays)
    after = linear_attention(*(tensors[name][:, 20:] for name in "qkv"))
    torch.testing.assert_close(o[:, 20:], after)


@pytest.mark.parametrize(("feature_map", "normalize"), [("elu1", True), ("elu1", False), ("identity", False)])
def test_error_at_16k_tokens(feature_map, normalize):
    tensors = inputs(1, 16384, 1, 64, 64, with_state=False)
    q, k, v = (x.double()[0, :, 0].split(256) for x in tensors.values())
    S, rows = torch.zeros(64, 65).double(), []
    for query, key, value in zip(map(PHI[feature_map], q), map(PHI[feature_map], k), v, strict=True):
        value = torch.cat([value, torch.ones(256, 1)], 1)  # the last column is the denominator
        rows.append((query @ key.T).tril() @ value + query @ S)
        S = S + key.T @ value
    sums = torch.cat(rows)
    expected = sums[:, :-1] / (sums[:, -1:] + 1e-6 if normalize else 1)
    o = linear_attention(*tensors.values(), feature_map=feature_map, normalize=normalize)
    assert error(o[0, :, 0], expected) <= 3e-7


def test_a_nan_reaches_only_later_tokens_of_its_head():
    tensors = inputs(1, 100, 2, 16, 16, with_state=False)
    tensors["k"][0, 42, 0, 3] = torch.nan
    o = linear_attention(*tensors.values())
    assert o[0, 42:, 0].isnan().all()
    assert o[0, :42, 0].isfinite().all()
    assert o[0, :, 1].isfinite().all()


def test_gradients_of_only_the_state():
    tensors = {name: x.requires_grad_() for name, x in inputs(1, 40, 2, 16, 24, "per token").items()}
    exact = {name: x.detach().double().requires_grad_() for name, x in tensors.items()}
    qkv, keywords = arguments(tensors)
    _, (S, _) = linear_attention_prefill(*qkv, **keywords)
    _, (expected_S, _) = reference(exact, "elu1", True)
    for name in ("k", "v", "S", "log_decay"):
        (gradient,) = torch.autograd.grad(S.sum(), tensors[name], retain_graph=True)
        (expected,) = torch.autograd.grad(expected_S.sum(), exact[name], retain_graph=True)
        assert error(gradient, expected) <= 2e-6, name


@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")  # raised by torch
def test_torch_compile_keeps_one_graph():
    def attend(q, k, v, log_decay):
        return linear_attention(2 * q, k, v, log_decay=log_decay).sin()

    tensors = inputs(1, 70, 2, 16, 16, "per token", with_state=False)
    leaves = [x.requires_grad_() for x in tensors.values()]
    compiled = torch.compile(attend, backend="aot_eager", fullgraph=True)
    results = []
    for function in (attend, compiled):
        o = function(*leaves)
        results.append((o, *torch.autograd.grad(o.sum(), leaves)))
    assert all(map(torch.equal, *results))


def test_a_forked_child_computes_on_one_thread():
    tensors = inputs(1, 600, 4, 16, 16)
    qkv, keywords = arguments(tensors)
    expected = linear_attention(*qkv, **keywords)[0, -1, 0].tolist()  # starts the threads of the parent
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(10)  # otherwise it could wait forever for threads that it does not have
        os._exit(0 if linear_attention(*qkv, **keywords)[0, -1, 0].tolist() == expected else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"feature_map": "exp"}, "feature_map is 'exp'; allowed: elu1, relu, identity"),
        ({"k": torch.zeros(1, 4, 2, 8)}, r"k \(1, 4, 2, 8\).*allowed: q and k \[B, T, H, K\]"),
        ({"q": torch.zeros(1, 5, 2, 16, dtype=torch.float64)}, "q is torch.float64 on cpu; allowed"),
        ({"log_decay": torch.zeros(5)}, r"log_decay is \(5,\); allowed: \(2,\)"),
        ({"state": (torch.zeros(1, 2, 3, 4), torch.zeros(1, 2, 16))}, r"state is S \(1, 2, 3, 4\)"),
        ({"v": torch.zeros(1, 5, 2, 0)}, "V = 0; allowed: 1 or more"),
    ],
)
def test_errors_name_the_allowed_values(change, message):
    tensors = inputs(1, 5, 2, 16, 16, with_state=False) | change
    q, k, v = (tensors.pop(name) for name in "qkv")
    with pytest.raises(ValueError, match=message):
        linear_attention(q, k, v, **tensors)


def test_decode_rejects_several_tokens_gradients_and_an_invalid_out():
    tensors = inputs(1, 2, 2, 16, 16)
    q, k, v, S, z = tensors.values()
    with pytest.raises(ValueError, match="decode supports only T = 1; q has T = 2"):
        linear_attention_decode(q, k, v, (S, z))
    row = q[:, :1].requires_grad_(), k[:, :1], v[:, :1]
    with pytest.raises(RuntimeError, match="no gradient"):
        linear_attention_decode(*row, (S, z))
    with torch.no_grad(), pytest.raises(ValueError, match="out has shapes"):
        linear_attention_decode(*row, (S, z), out=(S.transpose(2, 3), z))


def test_without_a_compiler_the_error_names_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setenv("CXX", str(tmp_path / "no-such-compiler"))
    monkeypatch.setenv("LINBENCH_CACHE_DIR", str(tmp_path))
    cpp.load_library.cache_clear()
    assert "install g++ or set CXX" in (cpp.unsupported_reason() or "")
    with pytest.raises(NotImplementedError, match="install g\\+\\+ or set CXX"):
        cpp.load_library(calls.SOURCE, "DEFAULT")


def test_a_compile_error_shows_the_output_of_the_compiler(monkeypatch, tmp_path):
    monkeypatch.setenv("LINBENCH_CACHE_DIR", str(tmp_path))
    source = tmp_path / "broken.cpp"
    source.write_text("int broken() { return nothing; }")
    with pytest.raises(RuntimeError, match=r"broken.cpp failed:(.|\n)*nothing"):
        cpp.load_library(source, "DEFAULT")
    assert not list(tmp_path.glob("cpu/*"))


def test_four_processes_build_concurrently_and_leave_one_library(monkeypatch, tmp_path):
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
    (library,) = tmp_path.glob("cpu/*")
    modified_ns = library.stat().st_mtime_ns
    assert cpp.load_library(source, "DEFAULT").answer() == 42
    assert library.stat().st_mtime_ns == modified_ns
    source.write_text('extern "C" int answer() { return 43; }')
    cpp.load_library.cache_clear()
    assert cpp.load_library(source, "DEFAULT").answer() == 43
