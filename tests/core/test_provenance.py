"""The repository or distribution of an implementation is that of its file, not that of linbench."""

import os
import shutil

import pytest
from scratch import Scratch

from linbench.core.provenance import Code, harness_code, measured_code


@pytest.fixture
def repository(tmp_path):
    """A repository with two files, and one in a folder."""
    folder = tmp_path / "mine"
    folder.mkdir()
    return Scratch(folder, {"one.py": "", "two.py": "", "deep/three.py": ""})


def head(repository):
    return repository.git("rev-parse", "HEAD")


def code_of(**files):
    return measured_code({f"a/{name}": str(path) for name, path in files.items()})


def test_the_files_of_a_repository_have_its_commit(repository):
    one, three = repository.folder / "one.py", repository.folder / "deep" / "three.py"
    commit = head(repository)
    assert commit != harness_code().commit
    assert code_of(y=three, x=one) == (Code("mine", None, commit, False, ("a/x", "a/y")),)
    repository.commit({"two.py": "2"})
    assert code_of(x=one) == (Code("mine", None, head(repository), False, ("a/x",)),)
    assert head(repository) != commit


@pytest.mark.parametrize("changed", ["one.py", "two.py", "new.py"])
def test_a_change_anywhere_in_the_repository_makes_it_dirty(repository, changed):
    repository.write({changed: "changed"})
    (code,) = code_of(x=repository.folder / "one.py")
    assert code == Code("mine", None, head(repository), True, ("a/x",))


def test_bytecode_does_not_make_a_repository_dirty(repository):
    for folder in ("__pycache__", "sub/__pycache__"):
        (repository.folder / folder).mkdir(parents=True)
        repository.write({f"{folder}/one.cpython-311.pyc": "compiled"})
    (code,) = code_of(x=repository.folder / "one.py")
    assert code.dirty is False


def test_a_file_that_the_repository_does_not_track_has_no_commit(repository):
    repository.write({"new.py": "", ".gitignore": "ignored.py", "ignored.py": ""})
    tracked, new, ignored = code_of(
        x=repository.folder / "one.py", y=repository.folder / "new.py", z=repository.folder / "ignored.py"
    )
    assert (tracked.commit, tracked.implementations) == (head(repository), ("a/x",))
    assert new == Code("new.py", implementations=("a/y",))
    assert ignored == Code("ignored.py", implementations=("a/z",))


def test_a_file_outside_repositories_has_its_own_name(tmp_path):
    loose = tmp_path / "loose.py"
    loose.touch()
    assert code_of(x=loose) == (Code("loose.py", implementations=("a/x",)),)


def test_a_link_belongs_to_the_repository_of_its_target(repository, tmp_path):
    link = tmp_path / "link.py"
    link.symlink_to(repository.folder / "one.py")
    assert code_of(x=link) == (Code("mine", None, head(repository), False, ("a/x",)),)


def test_a_nested_repository_is_a_repository_of_its_own(repository):
    inner = repository.folder / "inner"
    inner.mkdir()
    nested = Scratch(inner, {"x.py": "x"})
    (code,) = code_of(x=inner / "x.py")
    assert (code.name, code.commit, code.dirty) == ("inner", head(nested), False)
    assert code.commit != head(repository)


def test_an_installed_file_has_its_distribution_and_version(loaded, repository):
    acme = loaded.implementation("linear/acme").origin
    path = repository.folder / "one.py"
    codes = measured_code({"linear/acme": acme, "a/x": str(path)})
    assert sorted(codes, key=lambda code: code.name) == [
        Code("linbench-acme", "1.0", None, None, ("linear/acme",)),
        Code("mine", None, head(repository), False, ("a/x",)),
    ]


def test_a_file_with_the_name_of_a_distribution_does_not_belong_to_it(tmp_path):
    stray = tmp_path / "numpy.py"
    stray.touch()
    assert code_of(x=stray) == (Code("numpy.py", implementations=("a/x",)),)


def test_a_built_in_implementation_belongs_to_linbench(loaded):
    (code,) = measured_code({"linear/chunk": loaded.implementation("linear/chunk").origin})
    harness = harness_code()
    assert (code.name, code.version, code.commit) == ("linbench", harness.version, harness.commit)


def test_without_git_there_is_no_commit(repository, monkeypatch):
    monkeypatch.setenv("PATH", os.devnull)
    assert code_of(x=repository.folder / "one.py") == (Code("one.py", implementations=("a/x",)),)


def test_without_git_status_there_is_no_commit(repository, tmp_path, monkeypatch):
    fake = tmp_path / "bin" / "git"
    fake.parent.mkdir()
    fake.write_text(f'#!/bin/sh\n[ "$3" = status ] && exit 1\nexec {shutil.which("git")} "$@"\n')
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}{os.pathsep}{os.environ['PATH']}")
    assert code_of(x=repository.folder / "one.py") == (Code("one.py", implementations=("a/x",)),)


def test_the_repository_of_a_git_hook_is_not_that_of_the_code(repository, tmp_path, monkeypatch):
    folder = tmp_path / "other"
    folder.mkdir()
    commit, hooked = head(repository), Scratch(folder, {"other.py": ""})
    monkeypatch.setenv("GIT_DIR", str(hooked.folder / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(hooked.folder / ".git" / "index"))
    assert code_of(x=repository.folder / "one.py") == (Code("mine", None, commit, False, ("a/x",)),)
