"""Artifact: a file that is stored next to the database under the SHA-256 of its contents."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

from linbench.core.errors import StoreError, UsageError
from linbench.store import DEFAULT_DB

SUFFIX = ".json.gz"


class Artifacts:
    """The folder `artifacts` next to a database; a file in it is never changed."""

    def __init__(self, db: str) -> None:
        self.folder = (Path(DEFAULT_DB) if "://" in db else Path(db)).parent / "artifacts"

    def save(self, file: Path) -> str:
        """Copy a file into the folder, unless its contents are already there, and return its SHA-256.

        Raises:
            StoreError: The file cannot be written.
        """
        with file.open("rb") as open_file:
            digest = hashlib.file_digest(open_file, "sha256").hexdigest()
        target = self.path(digest)
        if target.exists():
            return digest
        part = target.with_suffix(".part")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, part)
            part.replace(target)
        except OSError as error:
            raise StoreError(f"{target}: cannot be written: {error.strerror}") from None
        return digest

    def path(self, digest: str) -> Path:
        """Return the path of the file with a SHA-256, whether it exists or not."""
        return self.folder / f"{digest}{SUFFIX}"

    def read(self, digest: str) -> bytes:
        """Return the contents of a stored file.

        Raises:
            UsageError: The file is missing, or its contents have changed.
        """
        path = self.path(digest)
        try:
            contents = path.read_bytes()
        except OSError as error:
            raise UsageError(f"{path}: cannot be read: {error.strerror}; profile again") from None
        if hashlib.sha256(contents).hexdigest() != digest:
            raise UsageError(f"{path}: its contents do not match its SHA-256; profile again")
        return contents
