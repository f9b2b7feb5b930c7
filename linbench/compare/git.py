"""Git: the repository that contains a folder, its commits, and temporary worktrees of them."""

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
LOCK_FILE = "lock"
NO_HOOKS = ("-c", "core.hooksPath=/dev/null")


class Repository:
    """The repository that contains a folder."""

    def __init__(self, folder: Path) -> None:
        """Find the repository.

        Raises:
            UsageError: The folder is in no repository, or git is not installed.
        """
        try:
            self.root = Path(_git(folder, "rev-parse", "--show-toplevel").rstrip("\n")).resolve()
        except FileNotFoundError:
            raise UsageError("git refs cannot be compared: git is not installed") from None
        except subprocess.CalledProcessError:
            raise UsageError(
                f"{folder} is not in a git repository, so git refs cannot be compared; change to a checkout, "
                "or compare implementations, interpreters or run:ID"
            ) from None

    def commit(self, ref: str) -> str | None:
        """Return the commit that a ref names, or None if there is no such ref."""
        try:
            return self._git(
                "rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}"
            ).strip()
        except subprocess.CalledProcessError:
            return None

    def base(self, ref: str) -> str:
        """Return the merge base of a ref and the working tree's HEAD.

        Raises:
            UsageError: There is no such ref, or it has no commit in common with HEAD.
        """
        if self.commit(ref) is None:
            raise UsageError(
                f"--base {ref}: no such commit in {self.root}; fetch it (git fetch origin main), or name "
                "another ref"
            )
        try:
            return self._git("merge-base", "HEAD", ref).strip()
        except subprocess.CalledProcessError:
            raise UsageError(
                f"--base {ref}: no commit in common with HEAD; fetch more of the history "
                "(git fetch --unshallow; fetch-depth: 0 in a GitHub workflow)"
            ) from None

    def changed_files(self, commit: str) -> set[Path]:
        """Return the absolute paths that differ between a commit and the working tree, new files included."""
        names = self._git("diff", "--name-only", "--no-renames", "-z", commit, "--")
        names += self._git("ls-files", "--others", "--exclude-standard", "-z")
        return {self.root / name for name in names.split("\0") if name}

    def contains(self, path: Path) -> bool:
        """Return whether a path is in the working tree and not ignored (as virtual environments are)."""
        if not path.is_relative_to(self.root):
            return False
        if path == self.root:
            return True
        try:
            self._git("check-ignore", "--quiet", "--", str(path))
        except subprocess.CalledProcessError:
            return True
        return False

    def _git(self, *arguments: str) -> str:
        return _git(self.root, *arguments)


class Worktrees:
    """Temporary worktrees of a repository's commits; use it as a context manager, which removes them on exit.

    Worktrees of earlier processes that were killed are removed first: a running process locks its folder.
    """

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._paths: list[Path] = []

    def __enter__(self) -> Worktrees:
        self._prune()
        self.folder = Path(tempfile.mkdtemp(prefix=PREFIX)).resolve()
        self._lock = os.open(self.folder / LOCK_FILE, os.O_CREAT | os.O_WRONLY, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for path in self._paths:
            self._remove(path)
        os.close(self._lock)
        shutil.rmtree(self.folder, ignore_errors=True)

    def checkout(self, commit: str) -> Path:
        """Check a commit out into a new worktree and return its path.

        Raises:
            UsageError: git cannot check it out.
        """
        path = self.folder / f"{len(self._paths)}-{commit[:12]}"
        self._paths.append(path)
        try:
            _git(
                self._repository.root,
                *(*NO_HOOKS, "worktree", "add", "--quiet", "--detach", str(path), commit),
            )
        except subprocess.CalledProcessError as error:
            message = " ".join(error.stderr.split())
            raise UsageError(f"git cannot check out {commit[:12]}: {message}") from None
        return path

    def _prune(self) -> None:
        root = self._repository.root
        with suppress(subprocess.CalledProcessError):
            for line in _git(root, "worktree", "list", "--porcelain").splitlines():
                path = Path(line.removeprefix("worktree "))
                if (
                    line.startswith("worktree ")
                    and path.parent.name.startswith(PREFIX)
                    and _is_abandoned(path.parent)
                ):
                    self._remove(path)
                    shutil.rmtree(path.parent, ignore_errors=True)

    def _remove(self, path: Path) -> None:
        with suppress(subprocess.CalledProcessError):
            _git(self._repository.root, "worktree", "remove", "--force", "--force", str(path))
        shutil.rmtree(path, ignore_errors=True)
        with suppress(subprocess.CalledProcessError):
            _git(self._repository.root, "worktree", "prune")


def _is_abandoned(folder: Path) -> bool:
    """Return whether no running process holds the lock of a folder of worktrees."""
    try:
        descriptor = os.open(folder / LOCK_FILE, os.O_WRONLY)
    except FileNotFoundError:
        return True
    except OSError:  # it belongs to another user
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


def _git(folder: Path, *arguments: str) -> str:
    process = subprocess.run(
        ["git", "-C", str(folder), *arguments],
        check=True,
        capture_output=True,
        text=True,
        errors="surrogateescape",
        stdin=subprocess.DEVNULL,
    )
    return process.stdout
