"""How often `linbench ci` fails a branch that is 5% slower, and passes a branch with the same code.

In a temporary clone of this repository, one branch has a linear/chunk that spins after each call for 5% of
the call's time, and another branch only adds a comment. Each is compared with main `--tries` times, in turn.

Run: python benchmarks/gate.py --tries 20
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[1]
FILE = Path("impls/linbench_impls/linear/chunk.py")
CASE = ["--T", "1k", "--B", "1", "--H", "4", "--D", "64", "--dtype", "float32", "--mode", "fwd"]
CALL = "fwd_per_sequence(chunk, axis=2)"
REGISTER = "\n\nregister(\n"
SPIN = """

def slower(q, k, v, phi, normalize, state):
    import time

    start = time.perf_counter()
    output = chunk(q, k, v, phi, normalize, state)
    end = start + {factor} * (time.perf_counter() - start)
    while time.perf_counter() < end:
        pass
    return output
"""
THREADS = "1"  # with two threads, the other one falls asleep while this one spins: 5% became 14%
USER = ["-c", "user.name=gate", "-c", "user.email=gate@localhost"]


def git(folder, *arguments):
    subprocess.run(["git", *USER, *arguments], cwd=folder, check=True, capture_output=True)


def branch(folder, name, text):
    git(folder, "checkout", "-q", "-b", name, "base")
    (folder / FILE).write_text(text)
    git(folder, "commit", "-q", "-a", "-m", name)


def clone_repository(folder, factor):
    subprocess.run(["git", "clone", "-q", str(ROOT), str(folder)], check=True)
    git(folder, "checkout", "-q", "-b", "base")
    text = (folder / FILE).read_text()
    if text.count(CALL) != 1 or text.count(REGISTER) != 1:
        sys.exit(f"{FILE} has changed; update CALL and REGISTER in this script")
    slower = text.replace(REGISTER, SPIN.format(factor=factor) + REGISTER)
    branch(folder, "slower", slower.replace(CALL, "fwd_per_sequence(slower, axis=2)"))
    branch(folder, "same", text + "# the same code\n")


def gate(folder, name):
    git(folder, "checkout", "-q", name)
    path = [folder / "impls", folder / "kernels", ROOT]
    arguments = ["ci", "--base", "base", "--impl", "linear/chunk", "--device", "cpu", *CASE]
    arguments += ["--format", "json"]
    process = subprocess.run(
        [sys.executable, "-m", "linbench", *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, path)), "OMP_NUM_THREADS": THREADS},
        capture_output=True,
        text=True,
    )
    if process.returncode not in (0, 1) or len(process.stdout.splitlines()) != 1:
        command = f"linbench {' '.join(arguments)}"
        sys.exit(f"{command} exited with {process.returncode}:\n{process.stdout}{process.stderr}")
    return process.returncode, json.loads(process.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tries", type=int, default=20)
    parser.add_argument("--slower", type=float, default=5.0, metavar="PERCENT", help="injected slowdown")
    arguments = parser.parse_args()
    expected_codes = {"slower": 1, "same": 0}
    codes = {name: [] for name in expected_codes}
    effects = {name: [] for name in expected_codes}
    durations_s = []
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent) / "clone"
        clone_repository(folder, 1 + arguments.slower / 100)
        for number in range(arguments.tries):
            for name in expected_codes:
                start = time.monotonic()
                code, row = gate(folder, name)
                durations_s.append(time.monotonic() - start)
                decision = row["decision"] or {"effect": float("nan"), "processes": 0}
                codes[name].append(code)
                effects[name].append(decision["effect"])
                print(
                    f"{number + 1}: {name:<6} exit {code} {row['answer']:<9} {decision['effect']:+.1%} "
                    f"{decision['processes']} processes {durations_s[-1]:.0f} s",
                    flush=True,
                )
    for name, expected in expected_codes.items():
        correct = codes[name].count(expected)
        effect = median(effects[name])
        print(f"{name}: exit {expected} in {correct} of {arguments.tries}; median effect {effect:+.1%}")
    print(f"{sum(durations_s) / 60:.1f} min, median {median(durations_s):.0f} s per try")
    return int(any(code != expected_codes[name] for name in codes for code in codes[name]))


if __name__ == "__main__":
    sys.exit(main())
