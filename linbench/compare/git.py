"""Git: the repository around a folder, its commits, and each of them as a folder of its own for a while."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from linbench.core.errors import UsageError

PREFIX = "linbench-trees-"
LOCK = "lock"
NO_HOOKS = ("-c", "core.hooksPath=/dev/null")


class Repository:
    """The repository that a folder is in."""

    def __init__(self, folder: Path) -> None:
        """Find it.

        Raises:
            UsageError: The folder is in none, or there is no git.
        """
        try:
            self.root = Path(_git(folder, "rev-parse", "--show-toplevel").rstrip("\n")).resolve()
        except FileNotFoundError:
            raise UsageError("git refs cannot be compared: git is not installed") from None
        except subprocess.CalledProcessError:
            raise UsageError(
                f"{folder} is not in a git repository, so that no git ref can be compared; go to a checkout, "
                "or compare implementations, interpreters or run:ID"
            ) from None

    def commit(self, ref: str) -> str | None:
        """Return the commit that a ref names, or None if it names none."""
        try:
            return self._git(
                "rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}"
            ).strip()
        except subprocess.CalledProcessError:
            return None

    def base(self, ref: str) -> str:
        """Return the last commit that a ref and the working tree's HEAD have in common.

        Raises:
            UsageError: There is no such ref, or it has nothing in common with HEAD.
        """
        if self.commit(ref) is None:
            raise UsageError(
                f"--base {ref}: no such commit in {self.root}; fetch it (git fetch origin main), or name "
                "another"
            )
        try:
            return self._git("merge-base", "HEAD", ref).strip()
        except subprocess.CalledProcessError:
            raise UsageError(
                f"--base {ref}: has no commit in common with HEAD; fetch more of the history "
                "(git fetch --unshallow; fetch-depth: 0 in a GitHub workflow)"
            ) from None

    def changed(self, commit: str) -> set[Path]:
        """Return the files that differ between a commit and the working tree, new ones included, absolute."""
        listed = self._git("diff", "--name-only", "--no-renames", "-z", commit, "--")
        listed += self._git("ls-files", "--others", "--exclude-standard", "-z")
        return {self.root / name for name in listed.split("\0") if name}

    def holds(self, path: Path) -> bool:
        """Return whether a path lies in the working tree and is not ignored, as a virtual environment is."""
        if not path.is_relative_to(self.root):
            return False
        if path == self.root:
            return True
        try:
            self._git("check-ignore", "--quiet", "--", str(path))
        except subprocess.CalledProcessError:
            return True
        return False

    def _git(self, *words: str) -> str:
        return _git(self.root, *words)


class Trees:
    """Commits of a repository as folders; use it as a context manager, so that they go in the end.

    What an earlier process left that was killed is removed first: the folder of a living one is locked.
    """

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._made: list[Path] = []

    def __enter__(self) -> Trees:
        self._prune()
        self.folder = Path(tempfile.mkdtemp(prefix=PREFIX)).resolve()
        self._lock = os.open(self.folder / LOCK, os.O_CREAT | os.O_WRONLY, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for path in self._made:
            self._remove(path)
        os.close(self._lock)
        shutil.rmtree(self.folder, ignore_errors=True)

    def of(self, commit: str) -> Path:
        """Return a folder that holds the tree of a commit.

        Raises:
            UsageError: git cannot make it.
        """
        path = self.folder / f"{len(self._made)}-{commit[:12]}"
        self._made.append(path)
        try:
            _git(
                self._repository.root,
                *(*NO_HOOKS, "worktree", "add", "--quiet", "--detach", str(path), commit),
            )
        except subprocess.CalledProcessError as error:
            said = " ".join(error.stderr.split())
            raise UsageError(f"git cannot check {commit[:12]} out: {said}") from None
        return path

    def _prune(self) -> None:
        root = self._repository.root
        with suppress(subprocess.CalledProcessError):
            for line in _git(root, "worktree", "list", "--porcelain").splitlines():
                path = Path(line.removeprefix("worktree "))
                if (
                    line.startswith("worktree ")
                    and path.parent.name.startswith(PREFIX)
                    and _left(path.parent)
                ):
                    self._remove(path)
                    shutil.rmtree(path.parent, ignore_errors=True)

    def _remove(self, path: Path) -> None:
        with suppress(subprocess.CalledProcessError):
            _git(self._repository.root, "worktree", "remove", "--force", "--force", str(path))
        shutil.rmtree(path, ignore_errors=True)
        with suppress(subprocess.CalledProcessError):
            _git(self._repository.root, "worktree", "prune")


def _left(folder: Path) -> bool:
    """Return whether no living process holds a folder of trees."""
    try:
        descriptor = os.open(folder / LOCK, os.O_WRONLY)
    except FileNotFoundError:
        return True
    except OSError:  # another user's
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


def _git(folder: Path, *words: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), *words],
        check=True,
        capture_output=True,
        text=True,
        errors="surrogateescape",
        stdin=subprocess.DEVNULL,
    )
    return done.stdout
