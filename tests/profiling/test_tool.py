"""A tool that looks at a CUDA device alone, or is not there, says so before anything starts."""

import pytest

from linbench.cli import main
from linbench.core.errors import EnvironmentRefused, UsageError
from linbench.profiling.tool import check_tool


@pytest.mark.parametrize("tool", ["proton", "ncu"])
def test_a_device_s_tools_say_why_they_cannot_look_at_the_cpu(tool, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(["profile", "linear/chunk", "--T", "64", "--device", "cpu", "--tool", tool])
    assert ended.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    for said in (f"--tool {tool}", "a CUDA device, not at cpu", "use --tool torch"):
        assert said in line
    assert not (tmp_path / "results").exists()


def test_that_there_is_no_device_comes_before_what_is_not_on_path(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SystemExit) as ended:
        main(["profile", "linear/chunk", "--T", "64", "--device", "cuda", "--tool", "ncu"])
    assert ended.value.code == 4
    (line,) = capsys.readouterr().err.splitlines()
    assert "no CUDA device is visible here" in line


def test_a_tool_that_is_not_there_says_what_to_type(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EnvironmentRefused, match=r"no ncu on PATH; .*export PATH.* or use --tool torch"):
        check_tool("ncu", "cuda")
    monkeypatch.setattr("linbench.profiling.tool.find_spec", lambda _: None)
    with pytest.raises(EnvironmentRefused, match=r"triton is not installed; .*or use --tool torch"):
        check_tool("proton", "cuda")
    with pytest.raises(UsageError, match="not at cpu"):
        check_tool("proton", "cpu")
    for tool in ("torch", "memory", "all"):
        check_tool(tool, "cpu")
