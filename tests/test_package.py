"""The names that the package linbench exports, which are imported on first access."""

import subprocess
import sys

import linbench

IMPORTS = """
import sys
from linbench import Grid, Measurement, Settings, Status
assert Settings().once is False
assert Grid("axes").name == "axes"
assert Measurement.__dataclass_fields__["status"]
assert Status.OK == "ok"
assert "torch" not in sys.modules
"""


def test_settings_measurement_status_and_grid_are_exported_and_import_no_torch():
    process = subprocess.run([sys.executable, "-c", IMPORTS], capture_output=True, text=True)
    assert process.returncode == 0, process.stderr


def test_every_exported_name_is_an_attribute_and_the_names_are_sorted():
    assert linbench.__all__ == sorted(linbench.__all__)
    assert all(getattr(linbench, name).__name__ == name for name in linbench.__all__ if name != "needs")
    assert callable(linbench.needs)
