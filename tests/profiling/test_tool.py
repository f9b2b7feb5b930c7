"""A tool that supports only CUDA devices, or is missing, is an error before any process starts."""

import pytest

from linbench.cli import main
from linbench.core.errors import EnvironmentRefused, UsageError
from linbench.profiling.tool import check_tool


@pytest.mark.parametrize("tool", ["proton", "ncu"])
def test_cuda_tools_are_rejected_on_the_cpu(tool, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as exit_:
        main(["profile", "linear/chunk", "--T", "64", "--device", "cpu", "--tool", tool])
    assert exit_.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    for message in (f"--tool {tool}", "on CUDA devices only, not on cpu", "use --tool torch"):
        assert message in line
    assert not (tmp_path / "results").exists()


def test_a_missing_device_is_reported_before_a_missing_tool(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SystemExit) as exit_:
        main(["profile", "linear/chunk", "--T", "64", "--device", "cuda", "--tool", "ncu"])
    assert exit_.value.code == 4
    (line,) = capsys.readouterr().err.splitlines()
    assert "no CUDA device is visible here" in line


def test_the_error_for_a_missing_tool_names_the_remedy(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EnvironmentRefused, match=r"no ncu on PATH; .*export PATH.* or use --tool torch"):
        check_tool("ncu", "cuda")
    monkeypatch.setattr("linbench.profiling.tool.find_spec", lambda _: None)
    with pytest.raises(EnvironmentRefused, match=r"triton is not installed; .*or use --tool torch"):
        check_tool("proton", "cuda")
    with pytest.raises(UsageError, match="not on cpu"):
        check_tool("proton", "cpu")
    for tool in ("torch", "memory", "all"):
        check_tool(tool, "cpu")
