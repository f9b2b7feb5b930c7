"""Artifact: a file that is kept beside the database under the SHA-256 of what is in it."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

from linbench.core.errors import StoreError, UsageError
from linbench.store import DEFAULT_DB

SUFFIX = ".json.gz"


class Artifacts:
    """The folder `artifacts` beside a database; a file there is never changed."""

    def __init__(self, db: str) -> None:
        self.folder = (Path(DEFAULT_DB) if "://" in db else Path(db)).parent / "artifacts"

    def keep(self, file: Path) -> str:
        """Return the SHA-256 of a file, which is copied unless one of the same contents is there.

        Raises:
            StoreError: It cannot be written.
        """
        with file.open("rb") as open_file:
            digest = hashlib.file_digest(open_file, "sha256").hexdigest()
        kept = self.path(digest)
        if kept.exists():
            return digest
        part = kept.with_suffix(".part")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, part)
            part.replace(kept)
        except OSError as error:
            raise StoreError(f"{kept}: cannot be written: {error.strerror}") from None
        return digest

    def path(self, digest: str) -> Path:
        """Return where the file of a SHA-256 is or would be."""
        return self.folder / f"{digest}{SUFFIX}"

    def read(self, digest: str) -> bytes:
        """Return the contents of a kept file.

        Raises:
            UsageError: It is not there, or is not what was kept.
        """
        path = self.path(digest)
        try:
            found = path.read_bytes()
        except OSError as error:
            raise UsageError(f"{path}: cannot be read: {error.strerror}; profile again") from None
        if hashlib.sha256(found).hexdigest() != digest:
            raise UsageError(f"{path}: is not what was kept under that name; profile again")
        return found
