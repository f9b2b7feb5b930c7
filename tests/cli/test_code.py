"""A run of a plugin in another repository records the commit of that repository, and resuming requires it."""

import json

from scratch import Scratch

from linbench.core.provenance import Code, harness_code
from linbench.store.store import Store

PLUGIN = """from linbench import get, implementation

@implementation("linear", "mine")
def mine(q, k, v):
    return get("linear/naive")(q, k, v)
"""


def test_a_run_records_the_commit_of_the_measured_code(linbench):
    folder = linbench.folder / "mine"
    folder.mkdir()
    repository = Scratch(folder, {"plugin.py": PLUGIN})
    commit = repository.git("rev-parse", "HEAD")
    linbench(
        "run", "--plugin", "mine/plugin.py", "--impl", "linear/mine,linear/naive,linear/acme", "--T", "16",
        "--once", "--no-report", "--device", "cpu",
    )  # fmt: skip
    run = Store(str(linbench.folder / "results/linbench.db")).run("latest")
    assert [row.status for row in run.measurements] == ["ok"] * 3
    code_of, harness = run.environment.code_of, harness_code()
    assert code_of("linear/mine") == Code("mine", None, commit, False, ("linear/mine",))
    assert code_of("linear/acme") == Code("linbench-acme", "1.0", None, None, ("linear/acme",))
    assert code_of("linear/naive").commit == run.environment.harness.commit == harness.commit != commit
    (journal,) = (linbench.folder / "results").glob("*.jsonl")
    head = json.loads(journal.read_text().splitlines()[0])
    assert [code["commit"] for code in head["run"]["environment"]["code"] if code["name"] == "mine"] == [
        commit
    ]

    later = repository.commit({"other.py": ""})
    _, err = linbench("run", "--resume", run.id, "--no-report", code=4)
    assert f"was begun with commit of mine {commit}, and this is {later}; begin a new run instead" in err
