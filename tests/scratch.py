"""A scratch git repository for tests."""

import os
import subprocess

IDENTITY = {
    "GIT_AUTHOR_NAME": "a",
    "GIT_AUTHOR_EMAIL": "a@b",
    "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@b",
}
NO_CONFIGURATION = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}


class Scratch:
    """A repository with one commit, on the branch main."""

    def __init__(self, folder, files):
        self.folder = folder
        self.git("init", "-q", "-b", "main", ".")
        self.commit(files)

    def git(self, *arguments):
        process = subprocess.run(
            ["git", *arguments],
            cwd=self.folder,
            env=os.environ | IDENTITY | NO_CONFIGURATION,
            check=True,
            capture_output=True,
            text=True,
        )
        return process.stdout.strip()

    def write(self, files):
        for name, text in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def commit(self, files):
        self.write(files)
        self.git("add", "-A")
        self.git("commit", "-q", "-m", "files")
        return self.git("rev-parse", "HEAD")
