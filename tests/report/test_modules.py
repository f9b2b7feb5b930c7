"""The script of a page: modules joined in the order of their imports."""

from itertools import pairwise

import pytest

from linbench.report import modules


@pytest.fixture
def joined(monkeypatch):
    def join(entry, **texts):
        monkeypatch.setattr(modules, "_read", texts.__getitem__)
        return modules.joined(entry)

    return join


A = 'import { b, c } from "./b.js";\nimport {\n  d,\n} from "./d.js";\nb(c, d);\n'
B = 'import { d } from "./d.js";\nconst own = d;\nexport const c = own;\nexport async function b() {}\n'
D = "export const d = 1;\n"


def test_a_module_stands_once_after_what_it_imports_in_a_scope_of_its_own(joined):
    text = joined("a", a=A, b=B, d=D)
    places = [text.index(f"const ${name} = await (async () => {{") for name in "dba"]
    assert all(one < other for one, other in pairwise(places))
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
        ({"a": 'import d from "./d.js";\n', "d": D}, "cannot join import d"),
        ({"a": "export default 1;\n"}, "cannot join export default"),
    ],
)
def test_what_a_page_cannot_join_is_said(joined, texts, message):
    with pytest.raises(ValueError, match=message):
        joined("a", **texts)


@pytest.mark.parametrize("entry", ["page", "versus"])
def test_the_scripts_of_our_pages_are_joined_whole(entry):
    text = modules.joined(entry)
    assert text == modules.joined(entry)
    assert f"const ${entry} = await" in text
    assert "</script" not in text
