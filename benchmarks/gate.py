"""How often `linbench ci` fails a branch that is 5% slower, and passes one whose code is the same.

In a scratch clone of this repository a branch gets a linear/chunk that spins for 5% of each call's own time
after it, and another branch one with a comment more. Each is compared with main so many times, in turn.

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
    found = chunk(q, k, v, phi, normalize, state)
    end = start + {factor} * (time.perf_counter() - start)
    while time.perf_counter() < end:
        pass
    return found
"""
THREADS = "1"  # with two, the other falls asleep while this one spins, and 5% came out as 14%
WHO = ["-c", "user.name=gate", "-c", "user.email=gate@localhost"]


def git(folder, *words):
    subprocess.run(["git", *WHO, *words], cwd=folder, check=True, capture_output=True)


def branch(folder, name, text):
    git(folder, "checkout", "-q", "-b", name, "base")
    (folder / FILE).write_text(text)
    git(folder, "commit", "-q", "-a", "-m", name)


def scratch(folder, factor):
    subprocess.run(["git", "clone", "-q", str(ROOT), str(folder)], check=True)
    git(folder, "checkout", "-q", "-b", "base")
    text = (folder / FILE).read_text()
    if text.count(CALL) != 1 or text.count(REGISTER) != 1:
        sys.exit(f"{FILE} is not as this script expects it; look at CALL and REGISTER")
    spinning = text.replace(REGISTER, SPIN.format(factor=factor) + REGISTER)
    branch(folder, "slower", spinning.replace(CALL, "fwd_per_sequence(slower, axis=2)"))
    branch(folder, "same", text + "# the same code\n")


def gate(folder, name):
    git(folder, "checkout", "-q", name)
    path = [folder / "impls", folder / "kernels", ROOT]
    words = ["ci", "--base", "base", "--impl", "linear/chunk", "--device", "cpu", *CASE, "--format", "json"]
    done = subprocess.run(
        [sys.executable, "-m", "linbench", *words],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, path)), "OMP_NUM_THREADS": THREADS},
        capture_output=True,
        text=True,
    )
    if done.returncode not in (0, 1) or len(done.stdout.splitlines()) != 1:
        sys.exit(f"linbench {' '.join(words)} exited with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.returncode, json.loads(done.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tries", type=int, default=20)
    parser.add_argument("--slower", type=float, default=5.0, metavar="PERCENT", help="what is planted")
    given = parser.parse_args()
    due = {"slower": 1, "same": 0}
    codes = {name: [] for name in due}
    effects = {name: [] for name in due}
    took_s = []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "clone"
        scratch(folder, 1 + given.slower / 100)
        for number in range(given.tries):
            for name in due:
                start = time.monotonic()
                code, row = gate(folder, name)
                took_s.append(time.monotonic() - start)
                verdict = row["verdict"] or {"effect": float("nan"), "processes": 0}
                codes[name].append(code)
                effects[name].append(verdict["effect"])
                print(
                    f"{number + 1}: {name:<6} exit {code} {row['answer']:<9} {verdict['effect']:+.1%} "
                    f"{verdict['processes']} processes {took_s[-1]:.0f} s",
                    flush=True,
                )
    for name, code in due.items():
        right = sum(found == code for found in codes[name])
        print(f"{name}: exit {code} in {right} of {given.tries}; effect, median {median(effects[name]):+.1%}")
    print(f"{sum(took_s) / 60:.1f} min, {median(took_s):.0f} s a try, median")
    return int(any(found != code for name, code in due.items() for found in codes[name]))


if __name__ == "__main__":
    sys.exit(main())
