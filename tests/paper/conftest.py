import shutil
import subprocess

import pytest
import synthetic
from programs import missing
from timeouts import timeout_s


@pytest.fixture(scope="session")
def latex():
    """Return what compiles a document that needs a package; a warning about a letter is an error too."""

    def needing(package):
        for command in ("pdflatex", "kpsewhich"):
            if shutil.which(command) is None:
                missing(f"{command} is not installed")
        if subprocess.run(["kpsewhich", package], capture_output=True).returncode:
            missing(f"LaTeX has no {package}")
        return compiled

    def compiled(text, path):
        path.write_text(text, encoding="utf-8")
        done = subprocess.run(
            ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", path.name],
            cwd=path.parent, capture_output=True, text=True, errors="replace", timeout=timeout_s(60),
        )  # fmt: skip
        assert done.returncode == 0, done.stdout[-3000:]
        assert "LaTeX Warning: Command" not in done.stdout
        assert "Missing character" not in path.with_suffix(".log").read_text(errors="replace")

    return needing


@pytest.fixture(scope="session")
def run():
    return synthetic.realistic()
