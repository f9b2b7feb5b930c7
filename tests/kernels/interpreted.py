"""Runs a file of tests with Triton's kernels interpreted, in a process of its own.

Triton decides when it is imported whether kernels are interpreted or compiled; other tests compile them.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest


def run_interpreted(file: str) -> None:
    """Fails with what pytest says if a test in `file`, beside this one, fails."""
    cases = Path(__file__).with_name(file)
    old_triton = "ignore:Conversion of an array with ndim > 0:DeprecationWarning"  # numpy, of Triton 3.6
    command = [sys.executable, "-m", "pytest", "-q", "-W", old_triton, "-p", "no:cacheprovider", str(cases)]
    # The tensors are small; handing them to more threads takes longer than the work.
    environment = os.environ | {"TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"}
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if run.returncode != 0:
        pytest.fail(run.stdout + run.stderr, pytrace=False)
