"""The machine instructions of a cubin, disassembled with the nvdisasm of Triton."""

import importlib.util
import subprocess
from pathlib import Path

from linbench_kernels.cuda.compile import Cubin


def instructions(cubin: Cubin, folder: Path) -> dict[str, str]:
    """Returns the assembly text of every kernel, by name; `folder` is for a temporary file."""
    spec = importlib.util.find_spec("triton")
    assert spec is not None
    assert spec.origin is not None
    file = folder / "kernel.cubin"
    file.write_bytes(cubin.code)
    nvdisasm = Path(spec.origin).parent / "backends/nvidia/bin/nvdisasm"
    text = subprocess.run([nvdisasm, "-c", file], capture_output=True, text=True, check=True).stdout
    _, *sections = text.split(".section\t.text.")
    return {section.split(",", 1)[0]: section for section in sections}
