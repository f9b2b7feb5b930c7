"""The script of a page: modules joined in the order of their imports."""

from itertools import pairwise

import pytest

from linbench.report import modules


@pytest.fixture
def join_texts(monkeypatch):
    def join(entry, **texts):
        monkeypatch.setattr(modules, "_read_module", texts.__getitem__)
        return modules.join_modules(entry)

    return join


A = 'import { b, c } from "./b.js";\nimport {\n  d,\n} from "./d.js";\nb(c, d);\n'
B = 'import { d } from "./d.js";\nconst local = d;\nexport const c = local;\nexport async function b() {}\n'
D = "export const d = 1;\n"


def test_each_module_is_joined_once_after_its_imports_in_its_own_scope(join_texts):
    text = join_texts("a", a=A, b=B, d=D)
    places = [text.index(f"const ${name} = await (async () => {{") for name in "dba"]
    assert all(earlier < later for earlier, later in pairwise(places))
    assert text.count("const d = 1;") == 1
    assert "const { b, c } = $b;\nconst {\n  d,\n} = $d;\nb(c, d);" in text
    assert "return { c, b };" in text
    assert "import" not in text
    assert "export" not in text


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (
            {"a": 'import { b } from "./b.js";\n', "b": 'import { a } from "./a.js";\n'},
            "each other: a from b",
        ),
        ({"a": 'import { x } from "./d.js";\n', "d": D}, "a.js: d.js exports no x"),
        ({"a": 'import d from "./d.js";\n', "d": D}, "unsupported import or export: import d"),
        ({"a": "export default 1;\n"}, "unsupported import or export: export default"),
    ],
)
def test_modules_that_cannot_be_joined_are_rejected(join_texts, texts, message):
    with pytest.raises(ValueError, match=message):
        join_texts("a", **texts)


@pytest.mark.parametrize("entry", ["page", "versus"])
def test_the_scripts_of_the_pages_can_be_joined(entry):
    text = modules.join_modules(entry)
    assert text == modules.join_modules(entry)
    assert f"const ${entry} = await" in text
    assert "</script" not in text
