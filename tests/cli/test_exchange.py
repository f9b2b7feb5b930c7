"""`linbench export` and `linbench import` as a user types them."""

import json


def rows_of(command, *words):
    out, _ = command("show", *words, "--format", "json")
    return [json.loads(line) for line in out.splitlines()]


def test_a_run_goes_to_another_database_and_twice_is_said(measured, tmp_path):
    path, db = tmp_path / "run.jsonl", tmp_path / "other.db"
    measured("export", measured.run, "--to", "jsonl", "-o", path)
    out, _ = measured("import", path, "--db", db)
    assert out.startswith(f"run {measured.run}: ")
    assert rows_of(measured, measured.run, "--db", db) == rows_of(measured, measured.run)
    out, _ = measured("import", path, "--db", db, "--format", "json")
    assert json.loads(out) == {"run": measured.run, "file": str(path), "new": False}
    out, _ = measured("list", "runs", "--db", db, "--format", "json")
    assert json.loads(out)["imported from"] == "run.jsonl"
    assert "no problems" in measured("db", "check", "--db", db)[0]
    _, err = measured("run", "--resume", measured.run, "--db", db, code=2)
    assert "was imported, and is not gone on with" in err


def test_the_journal_beside_a_database_can_be_imported(measured, tmp_path):
    journal = measured.folder / "results" / f"{measured.run}.jsonl"
    measured("import", journal, "--db", tmp_path / "saved.db")
    assert rows_of(measured, measured.run, "--db", tmp_path / "saved.db") == rows_of(measured, measured.run)
    _, err = measured("import", journal, code=2)
    assert "nothing was imported" in err


def test_what_a_form_cannot_hold_is_named_on_stderr(measured, tmp_path):
    rows = rows_of(measured, measured.run)
    untimed = [row for row in rows if row["median_s"] is None]
    for form in ("bencher", "github-action"):
        out, err = measured("export", measured.run, "--to", form, "-o", tmp_path / form, "--format", "json")
        assert json.loads(out)["rows"] == len(rows) - len(untimed)
        assert [line.startswith("left out: ") for line in err.splitlines()] == [True] * len(untimed)


def test_asv_takes_no_run_of_code_that_is_of_no_commit(measured, tmp_path):
    _, err = measured("export", measured.run, "--to", "asv", "-o", tmp_path / "x.json", code=2)
    assert "has no single commit" in err  # a stranger's implementation is of an installed distribution


def test_a_bad_file_is_one_line_and_makes_no_database(linbench):
    path = linbench.folder / "bad.jsonl"
    path.write_text('{"linbench": 3}\n')
    _, err = linbench("import", path, code=2)
    assert err == f"linbench: {path}: line 1: run: Field required\n"
    assert not (linbench.folder / "results").exists()
