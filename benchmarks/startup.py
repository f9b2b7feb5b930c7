"""CPU time of light commands, compared with an empty interpreter, pytest and heavy imports.

Run: python benchmarks/startup.py
"""

import resource
import subprocess
import sys
from pathlib import Path
from statistics import median

COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "linbench --help": ["-m", "linbench", "--help"],
    "linbench list grids": ["-m", "linbench", "list", "grids"],
    "linbench list implementations": ["-m", "linbench", "list", "implementations"],
    "pytest --version": ["-m", "pytest", "--version"],
    "import pandas": ["-c", "import pandas"],
    "import torch": ["-c", "import torch"],
}
ROUNDS = 9


def cpu_seconds(arguments):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, *arguments]
    subprocess.run(command, capture_output=True, check=True, cwd=Path(__file__).parents[1])
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main():
    times_s = {name: [] for name in COMMANDS}
    for _ in range(ROUNDS):  # in turns, so that drift affects all commands equally
        for name, arguments in COMMANDS.items():
            times_s[name].append(cpu_seconds(arguments))
    pytest_times_s = times_s["pytest --version"]
    print(f"{'command':<32} {'CPU ms':>8} {'/ pytest --version':>20}")
    for name, command_times_s in times_s.items():
        pairs = zip(command_times_s, pytest_times_s, strict=True)
        ratio = median(command_s / pytest_s for command_s, pytest_s in pairs)
        print(f"{name:<32} {1e3 * median(command_times_s):>8.0f} {ratio:>20.2f}")


if __name__ == "__main__":
    main()
