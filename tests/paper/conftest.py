import shutil
import subprocess

import pytest
import synthetic
from programs import missing
from timeouts import timeout_s


@pytest.fixture(scope="session")
def latex():
    """Return a function from a package name to a compiler of documents; a warning about a letter fails."""

    def compiler(package):
        for command in ("pdflatex", "kpsewhich"):
            if shutil.which(command) is None:
                missing(f"{command} is not installed")
        if subprocess.run(["kpsewhich", package], capture_output=True).returncode:
            missing(f"LaTeX has no {package}")
        return compile_document

    def compile_document(text, path):
        path.write_text(text, encoding="utf-8")
        process = subprocess.run(
            ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", path.name],
            cwd=path.parent, capture_output=True, text=True, errors="replace", timeout=timeout_s(60),
        )  # fmt: skip
        assert process.returncode == 0, process.stdout[-3000:]
        assert "LaTeX Warning: Command" not in process.stdout
        assert "Missing character" not in path.with_suffix(".log").read_text(errors="replace")

    return compiler


@pytest.fixture(scope="session")
def run():
    return synthetic.realistic()
