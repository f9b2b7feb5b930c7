"""CPU time of light commands, beside an empty interpreter, peers and heavy imports.

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


def cpu_seconds(words):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *words], capture_output=True, check=True, cwd=Path(__file__).parents[1])
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main():
    taken = {name: [] for name in COMMANDS}
    for _ in range(ROUNDS):  # in turns, so that drift meets all alike
        for name, words in COMMANDS.items():
            taken[name].append(cpu_seconds(words))
    peer = taken["pytest --version"]
    print(f"{'command':<32} {'CPU ms':>8} {'of pytest --version':>20}")
    for name, seconds in taken.items():
        ratio = median(mine / theirs for mine, theirs in zip(seconds, peer, strict=True))
        print(f"{name:<32} {1e3 * median(seconds):>8.0f} {ratio:>20.2f}")


if __name__ == "__main__":
    main()
