"""Commits as folders, which go whatever happens, and what differs from the working tree."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from scratch import Scratch

from linbench.compare.git import Repository, Trees
from linbench.core.errors import UsageError

HOLD = """
import sys, time
from pathlib import Path
from linbench.compare.git import Repository, Trees
repository = Repository(Path.cwd())
with Trees(repository) as trees:
    print(trees.of(repository.commit("HEAD")), flush=True)
    time.sleep(600)
"""


@pytest.fixture
def scratch(tmp_path):
    return Scratch(tmp_path, {"a.txt": "one", ".gitignore": "ignored/\n"})


def trees_of(scratch):
    return [line for line in scratch.git("worktree", "list").splitlines() if "linbench-trees-" in line]


def test_a_commit_is_a_folder_for_a_while_and_no_hook_runs(scratch):
    first = scratch.git("rev-parse", "HEAD")
    scratch.commit({"a.txt": "two"})
    hook = scratch.folder / ".git" / "hooks" / "post-checkout"
    hook.write_text("#!/bin/sh\ntouch hooked\n")
    hook.chmod(0o755)
    repository = Repository(scratch.folder)
    with pytest.raises(KeyboardInterrupt), Trees(repository) as trees:  # noqa: PT012 - as Ctrl-C would
        path = trees.of(first)
        assert (path / "a.txt").read_text() == "one"
        assert not (path / "hooked").exists()
        assert len(trees_of(scratch)) == 1
        raise KeyboardInterrupt
    assert not path.parent.exists()
    assert trees_of(scratch) == []


def test_what_a_killed_process_left_is_pruned_and_what_a_living_one_holds_is_not(scratch):
    killed, living = (
        subprocess.Popen([sys.executable, "-c", HOLD], cwd=scratch.folder, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    )
    try:
        left, held = (Path(process.stdout.readline().strip()) for process in (killed, living))
        killed.kill()
        killed.communicate()
        assert left.exists()
        with Trees(Repository(scratch.folder)):
            assert not left.parent.exists()
            assert held.exists()
            assert len(trees_of(scratch)) == 1
    finally:
        living.kill()
        living.communicate()
    with Trees(Repository(scratch.folder)):
        assert trees_of(scratch) == []


def test_changed_are_files_edited_added_and_gone_but_not_ignored_ones(scratch):
    base = scratch.commit({"gone.cu": "x", "staged.py": "x"})
    scratch.git("rm", "-q", "gone.cu")
    scratch.write({"a.txt": "two", "ignored/b.py": "", "new/b.py": "", "staged.py": "y"})
    scratch.git("add", "staged.py")
    names = {str(path.relative_to(scratch.folder)) for path in Repository(scratch.folder).changed(base)}
    assert names == {"gone.cu", "a.txt", "new/b.py", "staged.py"}


def test_the_base_is_the_last_commit_in_common(scratch):
    fork = scratch.git("rev-parse", "HEAD")
    scratch.git("checkout", "-q", "-b", "topic")
    scratch.commit({"b.txt": "b"})
    scratch.git("checkout", "-q", "main")
    scratch.commit({"c.txt": "c"})
    scratch.git("checkout", "-q", "topic")
    repository = Repository(scratch.folder)
    assert repository.base("main") == fork
    with pytest.raises(UsageError, match=r"--base nowhere: no such commit .*; fetch it"):
        repository.base("nowhere")
    with pytest.raises(UsageError, match="no such commit"):
        repository.base("--output=x")
    assert not (scratch.folder / "x").exists()


def test_ignored_and_outer_paths_are_not_held(scratch):
    scratch.write({"ignored/b.py": "", "new/b.py": ""})
    repository = Repository(scratch.folder)
    held = {name: repository.holds(scratch.folder / name) for name in ("a.txt", "ignored/b.py", "new/b.py")}
    assert held == {"a.txt": True, "ignored/b.py": False, "new/b.py": True}
    assert not repository.holds(Path(os.sep))


def test_a_folder_outside_a_repository_is_said(tmp_path):
    with pytest.raises(UsageError, match="is not in a git repository"):
        Repository(tmp_path)
