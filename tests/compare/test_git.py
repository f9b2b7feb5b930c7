"""Temporary worktrees, which are always removed, and the files that differ from the working tree."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from scratch import Scratch

from linbench.compare.git import Repository, Worktrees
from linbench.core.errors import UsageError

KEEP_WORKTREE = """
import sys, time
from pathlib import Path
from linbench.compare.git import Repository, Worktrees
repository = Repository(Path.cwd())
with Worktrees(repository) as worktrees:
    print(worktrees.checkout(repository.commit("HEAD")), flush=True)
    time.sleep(600)
"""


@pytest.fixture
def scratch(tmp_path):
    return Scratch(tmp_path, {"a.txt": "one", ".gitignore": "ignored/\n"})


def temporary_worktrees(scratch):
    return [line for line in scratch.git("worktree", "list").splitlines() if "linbench-trees-" in line]


def test_a_worktree_is_removed_on_exit_and_no_hook_runs(scratch):
    first = scratch.git("rev-parse", "HEAD")
    scratch.commit({"a.txt": "two"})
    hook = scratch.folder / ".git" / "hooks" / "post-checkout"
    hook.write_text("#!/bin/sh\ntouch hooked\n")
    hook.chmod(0o755)
    repository = Repository(scratch.folder)
    with pytest.raises(KeyboardInterrupt), Worktrees(repository) as worktrees:  # noqa: PT012 - like Ctrl-C
        path = worktrees.checkout(first)
        assert (path / "a.txt").read_text() == "one"
        assert not (path / "hooked").exists()
        assert len(temporary_worktrees(scratch)) == 1
        raise KeyboardInterrupt
    assert not path.parent.exists()
    assert temporary_worktrees(scratch) == []


def test_worktrees_of_killed_processes_are_pruned_but_not_those_of_running_ones(scratch):
    killed, running = (
        subprocess.Popen(
            [sys.executable, "-c", KEEP_WORKTREE], cwd=scratch.folder, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    )
    try:
        abandoned, active = (Path(process.stdout.readline().strip()) for process in (killed, running))
        killed.kill()
        killed.communicate()
        assert abandoned.exists()
        with Worktrees(Repository(scratch.folder)):
            assert not abandoned.parent.exists()
            assert active.exists()
            assert len(temporary_worktrees(scratch)) == 1
    finally:
        running.kill()
        running.communicate()
    with Worktrees(Repository(scratch.folder)):
        assert temporary_worktrees(scratch) == []


def test_changed_files_are_edited_added_and_deleted_ones_but_not_ignored_ones(scratch):
    base = scratch.commit({"gone.cu": "x", "staged.py": "x"})
    scratch.git("rm", "-q", "gone.cu")
    scratch.write({"a.txt": "two", "ignored/b.py": "", "new/b.py": "", "staged.py": "y"})
    scratch.git("add", "staged.py")
    names = {str(path.relative_to(scratch.folder)) for path in Repository(scratch.folder).changed_files(base)}
    assert names == {"gone.cu", "a.txt", "new/b.py", "staged.py"}


def test_the_base_is_the_merge_base(scratch):
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


def test_a_repository_contains_neither_ignored_nor_outer_paths(scratch):
    scratch.write({"ignored/b.py": "", "new/b.py": ""})
    repository = Repository(scratch.folder)
    names = ("a.txt", "ignored/b.py", "new/b.py")
    assert [repository.contains(scratch.folder / name) for name in names] == [True, False, True]
    assert not repository.contains(Path(os.sep))


def test_a_folder_outside_a_repository_is_rejected(tmp_path):
    with pytest.raises(UsageError, match="is not in a git repository"):
        Repository(tmp_path)
