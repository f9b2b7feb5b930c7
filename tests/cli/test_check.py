"""linbench check: right kernels pass, and a wrong one is told where."""

import json

import pytest

PLUGIN = """
import torch.nn.functional as F
from linbench import implementation


def right(q, k, v, ahead=()):
    q, k = (F.elu(x.transpose(1, 2)) + 1 for x in (q, k))
    scores = q @ k.transpose(-1, -2)
    later = scores.diagonal(1, -2, -1).clone()
    scores = scores.tril() + sum(later[..., t, None, None] * at(scores, t) for t in ahead)
    o = scores @ v.transpose(1, 2) / (scores.sum(-1, keepdim=True) + 1e-6)
    return o.transpose(1, 2)


def at(scores, t):
    one = scores.new_zeros(scores.shape[-2:])
    one[t, t + 1] = 1
    return one


@implementation("linear", "right")
def right_(q, k, v):
    return right(q, k, v)


@implementation("linear", "off-by-one")
def off_by_one(q, k, v):
    return right(q, k, v).roll(1, 1)


@implementation("linear", "leak")
def leak(q, k, v):
    return right(q, k, v, range(63, q.shape[1] - 1, 64))


@implementation("linear", "scale")
def scale(q, k, v):
    o = right(q, k, v).clone()
    o[:, :, 1] *= 1.01
    return o


@implementation("linear", "nan")
def nan(q, k, v):
    o = right(q, k, v).clone()
    o[0, -2:, 1, 3] = float("nan")
    return o


@implementation("linear", "tail")
def tail(q, k, v):
    o = right(q, k, v).clone()
    o[:, q.shape[1] // 64 * 64 :] = 0
    return o
"""


@pytest.fixture
def check(linbench):
    """Return a function that checks an implementation of the plugin, and returns its rows."""
    (linbench.folder / "kernels.py").write_text(PLUGIN)

    def run(name, *axes, code=3):
        arguments = ("check", f"linear/{name}", "--plugin", "kernels.py", "--device", "cpu", *axes)
        out, err = linbench(*arguments, "--format", "json", code=code)
        return [json.loads(line) for line in out.splitlines()], err

    return run


def test_a_right_kernel_passes_and_nothing_is_stored(check, linbench):
    rows, err = check("right", code=0)
    assert [row["status"] for row in rows] == ["ok"] * 12
    assert err.splitlines()[-1] == "linear/right: 12 ok"
    assert not (linbench.folder / "results").exists()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("off-by-one", "first at b 0, t 0, h 0"),
        ("leak", "(only token 63); first at b 0, t 63, h 0"),
        ("leak", "o at token 63 depends on later tokens"),
        ("scale", "head 1 is 1.01 times its expected value"),
        ("nan", "2 NaN or infinite elements: wrong are 2 elements, 2 rows, 2 tokens and 1 head"),
        ("tail", "only the last partial chunk, from token 64 (T = 64 + 63)"),
    ],
)
def test_a_wrong_kernel_is_told_where(check, name, place, dtype):
    (row,), _ = check(name, "--T", "127", "--mode", "fwd", "--dtype", dtype)
    assert row["status"] == "wrong"
    assert place in row["reason"]
    deviation = row["errors"]["o"]["deviation"]
    assert deviation["tokens"] > 0
    assert deviation["first"].keys() == set("bthv")


def test_an_unknown_implementation_is_one_line(linbench):
    _, err = linbench("check", "linear/chonk", code=2)
    assert "unknown implementation 'linear/chonk'; did you mean linear/chunk" in err
    assert "Traceback" not in err


def test_no_case_that_is_supported_is_no_success(linbench):
    out, _ = linbench("check", "linear/cuda", "--device", "cpu", "--T", "1", code=3)
    assert "unsupported" in out
