"""Which files an implementation depends on, and which implementations a change affects."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from scratch import Scratch

from linbench.compare.affected import affected_implementations
from linbench.compare.git import Repository
from linbench.compare.imports import Imports

FILES = {
    ".gitignore": "venv/\n",
    "code/plug_a/__init__.py": "import pkgutil\n",
    "code/plug_a/one.py": "from plug_a import shared\ndef call():\n    from plug_k.cpu.calls import go\n",
    "code/plug_a/two.py": "from . import other as renamed\nfrom .deep.inner import thing\n",
    "code/plug_a/three.py": "import json, numpy\nimport linbench.core.case\n",
    "code/plug_a/shared.py": "import plug_v\n",
    "code/plug_a/other.py": "from plug_a import two\n",
    "code/plug_a/deep/__init__.py": "",
    "code/plug_a/deep/inner.py": "thing = 1\n",
    "code/plug_a/broken.py": "def (:\n",
    "kernels/plug_k/__init__.py": "",
    "kernels/plug_k/cpu/__init__.py": "",
    "kernels/plug_k/cpu/calls.py": "go = print\n",
    "kernels/plug_k/cpu/calls.cpp": "int x;\n",
    "kernels/plug_k/gpu/calls.cu": "int y;\n",
    "kernels/plug_k/gpu/__init__.py": "",
    "venv/plug_v/__init__.py": "",
}


@pytest.fixture
def scratch(tmp_path, monkeypatch):
    repository = Scratch(tmp_path, FILES)
    for name in ("code", "kernels", "venv"):
        monkeypatch.syspath_prepend(str(tmp_path / name))
    return repository


def plugin(scratch, name):
    return scratch.folder / "code" / "plug_a" / f"{name}.py"


def imports(scratch):
    return Imports(Repository(scratch.folder), [plugin(scratch, name) for name in ("one", "two")])


def closure(scratch, name):
    paths = imports(scratch).closure(plugin(scratch, name))
    return {str(path.relative_to(scratch.folder)) for path in paths}


def test_a_file_depends_on_all_its_imports_and_the_sources_of_their_packages(scratch):
    assert closure(scratch, "one") == {
        "code/plug_a/__init__.py", "code/plug_a/one.py", "code/plug_a/shared.py",
        "kernels/plug_k/__init__.py", "kernels/plug_k/cpu/__init__.py", "kernels/plug_k/cpu/calls.py",
        "kernels/plug_k/cpu/calls.cpp",
    }  # fmt: skip


def test_relative_and_circular_imports_are_followed(scratch):
    assert closure(scratch, "two") == {
        "code/plug_a/__init__.py", "code/plug_a/two.py", "code/plug_a/other.py",
        "code/plug_a/deep/__init__.py", "code/plug_a/deep/inner.py",
    }  # fmt: skip


def test_the_harness_installed_modules_and_broken_files_are_not_followed(scratch):
    assert closure(scratch, "three") == {"code/plug_a/__init__.py", "code/plug_a/three.py"}
    assert closure(scratch, "broken") == {"code/plug_a/__init__.py", "code/plug_a/broken.py"}


def test_roots_are_the_folders_of_packages_that_plugins_import_and_nothing_is_imported(scratch):
    assert imports(scratch).roots == [scratch.folder / "code", scratch.folder / "kernels"]
    assert not {"plug_a", "plug_k"} & set(sys.modules)


def test_native_implementations_of_this_repository_depend_on_its_kernels(loaded, request):
    native = Path(loaded.implementation("linear/native").origin)
    graph = Imports(Repository(request.config.rootpath), [native])
    paths = graph.closure(native)
    assert "linear_attention.cpp" in {path.name for path in paths}
    assert not {path for path in paths if path.suffix == ".cu" or path.name == "triton.py"}
    assert {folder.name for folder in graph.roots} == {"impls", "kernels"}  # linbench stays the running one


@pytest.fixture(scope="module")
def dependents(loaded, pytestconfig):
    """The names of the implementations that depend on each file of linbench_impls, by relative path."""
    graph, names = Imports(Repository(pytestconfig.rootpath), []), {}
    package = pytestconfig.rootpath / "impls" / "linbench_impls"
    for implementation in loaded.implementations():
        if Path(implementation.origin).is_relative_to(package):
            for path in graph.closure(Path(implementation.origin)):
                if path.is_relative_to(package):
                    names.setdefault(path.relative_to(package).as_posix(), set()).add(implementation.name)
    return names


def full_names(operators, names):
    return {f"{operator}/{name}" for operator in operators for name in names}


@pytest.mark.parametrize(
    ("path", "operators", "forms"),
    [
        ("families/dplr/forms.py", ("delta", "gated_delta", "gla", "kda", "rwkv7"), ("chunk", "recurrent")),
        ("families/features/forms.py", ("hedgehog", "performer", "t2r"), ("naive", "chunk", "recurrent")),
        (
            "families/decay/forms.py",
            ("lightning", "retention", "simple_gla"),
            ("naive", "chunk", "recurrent"),
        ),
        ("families/decay/native.py", ("lightning", "retention", "simple_gla"), ("native",)),
        ("families/decay/triton.py", ("lightning", "retention", "simple_gla"), ("triton",)),
        ("gla/operator.py", ("gla",), ("chunk", "recurrent")),
        ("linear/chunk.py", ("linear",), ("chunk",)),
    ],
)
def test_a_family_s_file_affects_all_its_operators_and_an_operator_s_file_only_that_operator(
    dependents, path, operators, forms
):
    assert dependents[path] == full_names(operators, forms)


def test_no_implementation_depends_on_another_operator_s_folder(dependents):
    shared_folders = ("toolkit", "adapters", "families")
    for path, names in dependents.items():
        folder = path.partition("/")[0]
        if "/" in path and folder not in shared_folders:
            assert {name.partition("/")[0] for name in names} == {folder}, path


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"code/plug_a/shared.py": "x = 2\n"}, ["plug/one"]),
        ({"code/plug_a/deep/inner.py": "thing = 2\n"}, ["plug/two"]),
        ({"code/plug_a/__init__.py": "\n"}, ["plug/one", "plug/two"]),
        ({"kernels/plug_k/cpu/calls.cpp": "int z;\n"}, ["plug/one"]),
        ({"kernels/plug_k/cpu/calls.cpp": None}, ["plug/one"]),
        ({"kernels/plug_k/cpu/new.h": "int z;\n"}, ["plug/one"]),
        ({"kernels/plug_k/gpu/calls.cu": "int z;\n", "README.md": "z"}, []),
        ({"venv/plug_v/__init__.py": "x"}, []),
    ],
)
def test_a_change_affects_the_implementations_that_depend_on_it(scratch, change, names):
    base = scratch.git("rev-parse", "HEAD")
    for name, text in change.items():
        if text is None:
            (scratch.folder / name).unlink()
        else:
            scratch.write({name: text})
    implementations = [
        SimpleNamespace(name=f"plug/{name}", origin=str(plugin(scratch, name))) for name in ("one", "two")
    ]
    registry = SimpleNamespace(implementations=lambda: implementations)
    files = Repository(scratch.folder).changed_files(base)
    assert affected_implementations(registry, imports(scratch), files) == names
