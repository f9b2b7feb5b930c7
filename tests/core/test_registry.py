import pytest
import torch

import linbench
from linbench import Case, needs
from linbench.core.errors import UsageError
from linbench.core.implementation import Implementation
from linbench.core.registry import Registry

PLUGIN = """
from linbench import implementation

@implementation("linear", "{name}")
def acme(q, k, v):
    "Mine."
    return v
"""


@pytest.fixture
def plugin(tmp_path, loaded):
    """Write a plugin file, load it into the shared registry, and return the plugins that broke."""

    def write(text):
        path = tmp_path / "plugin.py"
        path.write_text(text)
        broken = len(loaded.broken)
        loaded.load([path])
        try:
            return loaded.broken[broken:]
        finally:
            del loaded.broken[broken:]

    return write


def test_an_installed_plugin_is_loaded(loaded):
    assert loaded.implementation("linear/acme").modes == ("fwd", "fwd_bwd")
    assert loaded.implementation("acme_delta/recurrent").modes == ("fwd", "fwd_bwd", "prefill", "decode")


def test_a_plugin_file_is_loaded(plugin, loaded):
    assert not plugin(PLUGIN.format(name="from-file"))
    implementation = loaded.implementation("linear/from-file")
    assert implementation.summary == "Mine."
    assert implementation.origin.endswith("plugin.py")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import torch\nthis is no Python", "SyntaxError"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        (PLUGIN.format(name="chunk"), "an implementation named 'linear/chunk' is already registered"),
        (
            "from linbench import implementation\nimplementation('linear', 'x', layout='DHBT')(print)",
            "layout",
        ),
    ],
)
def test_a_broken_plugin_is_listed_with_its_traceback_and_the_others_still_load(
    plugin, loaded, text, message
):
    (broken,) = plugin(text)
    assert message in broken.reason
    assert "Traceback" in broken.traceback
    assert loaded.implementation("linear/chunk")


def test_implementations_of_a_broken_plugin_are_removed(plugin, loaded):
    plugin(PLUGIN.format(name="half") + "\n1 / 0")
    with pytest.raises(UsageError, match="unknown implementation 'linear/half'"):
        loaded.implementation("linear/half")


def test_unknown_names_are_rejected_with_similar_names(loaded):
    with pytest.raises(UsageError, match="did you mean linear/chunk"):
        loaded.implementation("linear/chunks")
    with pytest.raises(UsageError, match="did you mean softmax"):
        loaded.operator("sotfmax")
    with pytest.raises(UsageError, match="there is no such file"):
        loaded.load(["nowhere.py"])


def test_an_empty_registry_rejects_every_name():
    with pytest.raises(UsageError, match="none is known"):
        Registry().operator("linear")


def test_get_accepts_canonical_tensors_for_any_layout():
    q, k, v = (torch.randn(2, 33, 3, 16) for _ in range(3))
    chunk, recurrent = (linbench.get(f"linear/{name}") for name in ("chunk", "recurrent"))
    assert {chunk.layout, recurrent.layout} == {"BHTD", "TBHD"}
    torch.testing.assert_close(chunk(q, k, v), recurrent(q, k, v))
    o, (S, z) = chunk(q, k, v, mode="prefill", feature_map="relu")
    assert (o.shape, S.shape, z.shape) == ((2, 33, 3, 16), (2, 3, 16, 16), (2, 3, 16))


def test_an_implementation_finds_its_operator_in_its_own_registry(loaded):
    first = Implementation("linear/first", "linear", "BHTD", {"fwd": lambda *qkv: qkv[2]})
    q, k, v = (torch.randn(2, 33, 3, 16) for _ in range(3))
    with pytest.raises(ValueError, match="linear/first is not registered"):
        first(q, k, v)
    registry = Registry()
    registry.add_implementation(first)
    with pytest.raises(UsageError, match="operator 'linear'"):
        first(q, k, v)
    registry.add_operator(loaded.operator("linear"))
    assert torch.equal(first(q, k, v), v)


@pytest.mark.parametrize(
    ("restriction", "message"),
    [
        (needs(device="cuda"), "needs a CUDA device; this case is on the cpu"),
        (needs(modules=("nowhere.at.all",)), "needs the Python module nowhere.at.all"),
        (needs(dtypes=("bfloat16",)), "supports bfloat16, not float32"),
        (needs(multiple_of={"K": 16}), "supports K in multiples of 16, not 20"),
        (needs(at_most={"V": 10}), "supports V up to 10, not 20"),
        (needs(device="cpu", multiple_of={"T": 1}, capability=(9, 0)), None),
    ],
)
def test_needs_report_the_value_of_the_case_and_the_supported_ones(restriction, message):
    reason = restriction(Case(1, 8, 1, 20, 20))
    assert reason == message if message is None else message in reason


@pytest.mark.parametrize("name", ["linear/chunk", "linear/recurrent", "softmax/naive"])
def test_a_call_with_empty_inputs_is_rejected(name):
    empty = torch.zeros(1, 0, 2, 8)
    with pytest.raises(UsageError, match=rf"^{name}: q is \[1, 0, 2, 8\]; every axis must be 1 or more$"):
        linbench.get(name)(empty, empty, empty)
