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
    """Write a plugin file and load it into the registry that everybody uses."""

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


def test_the_installed_plugin_of_a_stranger_is_there(loaded):
    assert loaded.implementation("linear/acme").modes == ("fwd", "fwd_bwd")
    assert loaded.implementation("acme_delta/recurrent").modes == ("fwd", "fwd_bwd", "prefill", "decode")


def test_a_plugin_file_is_a_plugin(plugin, loaded):
    assert not plugin(PLUGIN.format(name="from-file"))
    found = loaded.implementation("linear/from-file")
    assert found.summary == "Mine."
    assert found.origin.endswith("plugin.py")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import torch\nthis is no Python", "SyntaxError"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        (PLUGIN.format(name="chunk"), "an implementation named 'linear/chunk' is registered already"),
        (
            "from linbench import implementation\nimplementation('linear', 'x', layout='DHBT')(print)",
            "layout",
        ),
    ],
)
def test_a_broken_plugin_is_kept_with_its_traceback_and_stops_nothing(plugin, loaded, text, said):
    (broken,) = plugin(text)
    assert said in broken.reason
    assert "Traceback" in broken.traceback
    assert loaded.implementation("linear/chunk")


def test_what_a_broken_plugin_registered_before_it_broke_is_taken_back(plugin, loaded):
    plugin(PLUGIN.format(name="half") + "\n1 / 0")
    with pytest.raises(UsageError, match="unknown implementation 'linear/half'"):
        loaded.implementation("linear/half")


def test_unknown_names_are_met_with_the_nearest(loaded):
    with pytest.raises(UsageError, match="did you mean linear/chunk"):
        loaded.implementation("linear/chunks")
    with pytest.raises(UsageError, match="did you mean softmax"):
        loaded.operator("sotfmax")
    with pytest.raises(UsageError, match="there is no such file"):
        loaded.load(["nowhere.py"])


def test_an_empty_registry_says_that_nothing_is_known():
    with pytest.raises(UsageError, match="none is known"):
        Registry().operator("linear")


def test_get_takes_canonical_tensors_whatever_the_layout():
    q, k, v = (torch.randn(2, 33, 3, 16) for _ in range(3))
    chunk, recurrent = (linbench.get(f"linear/{name}") for name in ("chunk", "recurrent"))
    assert {chunk.layout, recurrent.layout} == {"BHTD", "TBHD"}
    torch.testing.assert_close(chunk(q, k, v), recurrent(q, k, v))
    o, (S, z) = chunk(q, k, v, mode="prefill", feature_map="relu")
    assert (o.shape, S.shape, z.shape) == ((2, 33, 3, 16), (2, 3, 16, 16), (2, 3, 16))


def test_an_implementation_looks_its_operator_up_in_the_registry_that_it_is_in(loaded):
    one = Implementation("linear/first", "linear", "BHTD", {"fwd": lambda *qkv: qkv[2]})
    q, k, v = (torch.randn(2, 33, 3, 16) for _ in range(3))
    with pytest.raises(ValueError, match="linear/first is in no registry"):
        one(q, k, v)
    found = Registry()
    found.add_implementation(one)
    with pytest.raises(UsageError, match="operator 'linear'"):
        one(q, k, v)
    found.add_operator(loaded.operator("linear"))
    assert torch.equal(one(q, k, v), v)


@pytest.mark.parametrize(
    ("restriction", "said"),
    [
        (needs(device="cuda"), "needs a CUDA device; this case is on the cpu"),
        (needs(modules=("nowhere.at.all",)), "needs the Python module nowhere.at.all"),
        (needs(dtypes=("bfloat16",)), "takes bfloat16, not float32"),
        (needs(multiple_of={"K": 16}), "takes K in multiples of 16, not 20"),
        (needs(at_most={"V": 10}), "takes V up to 10, not 20"),
        (needs(device="cpu", multiple_of={"T": 1}, capability=(9, 0)), None),
    ],
)
def test_needs_say_what_was_given_and_what_is_taken(restriction, said):
    reason = restriction(Case(1, 8, 1, 20, 20))
    assert reason == said if said is None else said in reason
