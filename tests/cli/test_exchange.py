"""`linbench export` and `linbench import` as a user types them."""

import json


def rows_of(command, *arguments):
    out, _ = command("show", *arguments, "--format", "json")
    return [json.loads(line) for line in out.splitlines()]


def test_a_run_is_imported_into_another_database_once(measured, tmp_path):
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
    assert "was imported and cannot be resumed" in err


def test_the_journal_next_to_a_database_can_be_imported(measured, tmp_path):
    journal = measured.folder / "results" / f"{measured.run}.jsonl"
    measured("import", journal, "--db", tmp_path / "saved.db")
    assert rows_of(measured, measured.run, "--db", tmp_path / "saved.db") == rows_of(measured, measured.run)
    _, err = measured("import", journal, code=2)
    assert "nothing was imported" in err


def test_rows_that_a_form_cannot_hold_are_listed_on_stderr(measured, tmp_path):
    rows = rows_of(measured, measured.run)
    untimed = [row for row in rows if row["median_s"] is None]
    for form in ("bencher", "github-action"):
        out, err = measured("export", measured.run, "--to", form, "-o", tmp_path / form, "--format", "json")
        assert json.loads(out)["rows"] == len(rows) - len(untimed)
        assert [line.startswith("left out: ") for line in err.splitlines()] == [True] * len(untimed)


def test_a_run_of_code_without_a_commit_cannot_be_exported_to_asv(measured, tmp_path):
    _, err = measured("export", measured.run, "--to", "asv", "-o", tmp_path / "x.json", code=2)
    assert "has no single commit" in err  # a stranger's implementation is of an installed distribution


def test_the_error_about_an_invalid_file_is_one_line_and_no_database_is_created(linbench):
    path = linbench.folder / "bad.jsonl"
    path.write_text('{"linbench": 3}\n')
    _, err = linbench("import", path, code=2)
    assert err == f"linbench: {path}: line 1: run: Field required\n"
    assert not (linbench.folder / "results").exists()
