"""linbench JSON lines: round trips, the schema, and rejected files."""

import copy
import json
import random
import sqlite3
from dataclasses import replace
from importlib.resources import files

import jsonschema
import pytest
from exchanged import RUN
from synthetic import BARE
from test_store import full_row

from linbench.core.errors import UsageError
from linbench.core.measurement import Cause, Status
from linbench.core.row import to_row
from linbench.core.samples import CHANNELS, Samples
from linbench.store.exchange import importing, jsonl, untrusted
from linbench.store.exchange.export import write_run
from linbench.store.row import pack, unpack
from linbench.store.store import Store

SCHEMA = json.loads(files("linbench.store.exchange").joinpath("linbench-run.schema.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "run.jsonl"
    assert write_run(RUN, "jsonl", path) == []
    return path


@pytest.fixture
def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def write_lines(tmp_path, lines):
    path = tmp_path / "changed.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_a_run_survives_a_round_trip_with_its_samples(path, tmp_path):
    db = str(tmp_path / "new" / "x.db")
    assert importing.add(importing.read(path), db)
    store = Store(db)
    stored = store.run(RUN.id, with_samples=True)
    assert stored == RUN
    assert stored.imported_from == "run.jsonl"
    assert store.problems() == []
    second = tmp_path / "second.jsonl"
    write_run(stored, "jsonl", second)
    assert second.read_text() == path.read_text()


def test_nine_digits_represent_every_float32(tmp_path):
    times = tuple(unpack(pack([random.Random(seed).lognormvariate(-6, 3) for seed in range(3000)])))
    time = replace(RUN.measurements[0].time, samples=Samples(times), processes=(3000,))
    run = replace(RUN, measurements=(replace(RUN.measurements[0], time=time),))
    write_run(run, "jsonl", tmp_path / "x.jsonl")
    assert importing.read(tmp_path / "x.jsonl") == run


def test_a_file_without_samples_has_all_rows(lines, tmp_path):
    for line in lines:
        line.pop("samples", None)
    db = str(tmp_path / "x.db")
    importing.add(importing.read(write_lines(tmp_path, lines)), db)
    rows = Store(db).run(RUN.id, with_samples=True).measurements
    assert [*map(to_row, rows)] == [*map(to_row, RUN.measurements)]
    assert all(row.time is None or not len(row.time.samples) for row in rows)
    assert Store(db).problems() == []


def test_an_identical_run_changes_nothing_and_a_different_run_with_its_id_is_rejected(path, lines, tmp_path):
    db = tmp_path / "x.db"
    assert importing.add(importing.read(path), str(db))
    before = dump(db)
    assert not importing.add(importing.read(path), str(db))
    lines[1]["median_s"] = 2.5
    with pytest.raises(UsageError, match=r"a different run .* is already stored in .*; nothing was imported"):
        importing.add(importing.read(write_lines(tmp_path, lines)), str(db))
    assert dump(db) == before


def test_latest_is_a_measured_run_and_not_an_imported_one(path, tmp_path):
    store = Store(str(tmp_path / "x.db"), write=True)
    run = store.begin(BARE, RUN.plan).id
    store.add(importing.read(path))
    assert store.find("latest") == run
    sources = {summary.id: summary.imported_from for summary in store.summaries()}
    assert sources == {run: None, RUN.id: "run.jsonl"}


def test_the_later_of_two_rows_counts(lines, tmp_path):
    lines.append(lines[1] | {"median_s": 2.75})
    run = importing.read(write_lines(tmp_path, lines))
    assert len(run.measurements) == len(RUN.measurements)
    assert run.measurements[-1].time.median_s == 2.75


def test_the_shipped_schema_is_that_of_the_models_and_accepts_exported_lines(lines):
    assert jsonl.schema() == SCHEMA
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    for line in lines:
        VALIDATOR.validate(line)


def test_every_field_of_a_row_is_in_the_schema():
    row = jsonl.json_row(full_row(), RUN.id)
    fields = {name: set(definition.get("properties", ())) for name, definition in SCHEMA["$defs"].items()}
    assert set(row) == fields["RowLine"] - {"samples"}
    assert set(row["case"]) == fields["Case"]
    assert set(row["errors"]["o"]) == fields["TensorError"]
    assert set(row["kernels"][0]) == fields["Kernel"]
    assert set(CHANNELS) == fields["Samples"]
    assert {str(status) for status in Status} == set(SCHEMA["$defs"]["Status"]["enum"])
    assert {str(cause) for cause in Cause} == set(SCHEMA["$defs"]["Cause"]["enum"])


def ceilings_of(head):
    return head["run"]["environment"]["ceilings"]


OK, FULL, ONCE, WRONG = 1, 3, 4, 5
INVALID_LINES = {
    "no head": (0, lambda head: head.pop("linbench"), "is not linbench JSON lines"),
    "newer": (0, lambda head: head.update(linbench=4), "line 1: has version 4; .* reads version 3"),
    "id is a path": (0, lambda head: head["run"].update(id="../../x"), "line 1: run.id: "),
    "no timestamp": (0, lambda head: head["run"].update(created_at="yesterday"), "line 1: run.created_at"),
    "an invalid grid": (0, lambda head: head["run"]["plan"].update(grid=3), "line 1: run.plan.grid"),
    "plugins": (0, lambda head: head["run"]["plan"].update(plugins="x.py"), "line 1: run.plan.plugins"),
    "host": (0, lambda head: head["run"]["environment"].pop("host"), "line 1: run.environment.host"),
    "ceilings": (0, lambda head: ceilings_of(head).update(entries=3), "line 1: .*ceilings.entries"),
    "a ceiling": (0, lambda head: ceilings_of(head)["entries"][0].pop("best"), "entries.0.best: Field"),
    "unknown key": (OK, lambda row: row.update(colour="red"), "line 2: colour: Extra inputs"),
    "missing key": (OK, lambda row: row.pop("flags"), "line 2: flags: Field required"),
    "text for a number": (OK, lambda row: row.update(median_s="2"), "line 2: median_s: "),
    "boolean for a count": (OK, lambda row: row["case"].update(T=True), "line 2: case.T"),
    "negative time": (OK, lambda row: row.update(median_s=-1.0), "line 2: median_s"),
    "unknown status": (OK, lambda row: row.update(status="superb"), "line 2: status"),
    "a failure with a time": (OK, lambda row: row.update(status="oom", reason="x"), "line 2: .*cannot have"),
    "a failure with work": (
        WRONG, lambda row: row.update(useful_flops=1.0, fewest_bytes=1), "line 6: .*cannot have .* work",
    ),
    "negative work": (FULL, lambda row: row.update(useful_flops=-1.0), "line 4: useful_flops"),
    "a failure without reason": (WRONG, lambda row: row.update(reason=None), "line 6: .*must have a reason"),
    "no such mode": (OK, lambda row: row["case"].update(mode="sideways"), "line 2: case.mode"),
}  # fmt: skip
INCONSISTENT_LINES = {
    "another run's row": (OK, lambda row: row.update(run="20261122-143000-ffff"), "line 2: run: .* differs"),
    "another case": (OK, lambda row: row["case"].update(T=65), "line 2: case_id"),
    "half an interval": (OK, lambda row: row.update(ci_low_s=None), "line 2: timer, median_s.* all present"),
    "ends swapped": (OK, lambda row: row.update(ci_low_s=9.0), "line 2: .*ci_low_s is above"),
    "half a memory": (OK, lambda row: row.update(peak_bytes=None), "line 2: peak_bytes, extra.* all present"),
    "half of the work": (FULL, lambda row: row.update(fewest_bytes=None), "line 4: useful_flops, fewest"),
    "work of nothing": (OK, lambda row: row.update(algorithmic_flops=1.0), "line 2: algorithmic_flops is"),
    "processes": (OK, lambda row: row.update(processes=[4]), "line 2: .*3 samples where processes took 4"),
    "samples": (OK, lambda row: row["samples"]["time_s"].pop(), "line 2: .*2 samples where processes took 3"),
    "beside samples": (FULL, lambda row: row["samples"]["cpu_s"].pop(), "line 4: .*cpu_s has 2 entries"),
    "median of nothing": (ONCE, lambda row: row.update(cpu_median_s=1.0), "line 5: cpu_median_s is present"),
    "samples of nothing": (ONCE, lambda row: row.update(samples={"time_s": [1.0]}), "5: .*samples, but"),
}  # fmt: skip


@pytest.mark.parametrize("name", [*INVALID_LINES, *INCONSISTENT_LINES])
def test_invalid_lines_are_rejected_with_their_line_and_field(lines, tmp_path, name):
    place, change, message = (INVALID_LINES | INCONSISTENT_LINES)[name]
    change(lines[place])
    path = write_lines(tmp_path, lines)
    with pytest.raises(UsageError, match=message) as caught:
        importing.read(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    if name in INVALID_LINES:  # a JSON Schema cannot express the others
        assert not VALIDATOR.is_valid(lines[place])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "line 3: not JSON"),
        ("{", "line 3: not JSON"),
        ('{"a": NaN}', "line 3: NaN is not allowed"),
        ('{"a": -Infinity}', "line 3: -Infinity is not allowed"),
        ('{"a": 1e999}', "line 3: a: is too large for a number"),
        ('{"a": 9223372036854775808}', "line 3: a: is too large for an integer"),
        ('{"a": ' + "9" * 5000 + "}", "line 3: "),
        ('{"a": 1, "a": 2}', "line 3: the key 'a' occurs twice"),
        ('{"a": "\\u0000"}', "line 3: a: a text contains a NUL"),
        ('{"\\ud800": 1}', "line 3: a text contains a lone surrogate"),
        ("[" * 40 + "]" * 40, "line 3: is nested deeper than 32"),
        ("[" * 100_000 + "]" * 100_000, "line 3: is nested deeper than 32"),
        (json.dumps({"a": "x" * (untrusted.MOST_CHARACTERS + 1)}), "line 3: a: a text is longer than 65,536"),
        ("[]", "line 3: Input should be an object"),
    ],
)
def test_json_beyond_the_limits_is_rejected(path, line, message):
    original = path.read_text().splitlines()
    path.write_text("\n".join([*original[:2], line, *original[2:]]))
    with pytest.raises(UsageError, match=message):
        importing.read(path)


def test_large_and_unreadable_files_are_rejected(path, tmp_path, monkeypatch):
    monkeypatch.setattr(untrusted, "MOST_ROWS", len(RUN.measurements) - 1)
    with pytest.raises(UsageError, match="holds more than"):
        importing.read(path)
    monkeypatch.setattr(untrusted, "MOST_BYTES", 100)
    with pytest.raises(UsageError, match="is larger than 100 bytes"):
        importing.read(path)
    path.write_bytes(b"\n\xff")
    for file, message in (
        (path, "line 2: is not UTF-8"),
        (tmp_path, "cannot be read|is not a regular file"),
        (tmp_path / "none", "No such file"),
    ):
        with pytest.raises(UsageError, match=message):
            importing.read(file)


def test_mutated_files_are_rejected_in_one_line_or_read_completely(path, tmp_path):
    """600 mutations, of bytes and of values: no other error, and the store stays as it was."""
    db = tmp_path / "x.db"
    store = Store(str(db), write=True)
    store.add(replace(RUN, measurements=RUN.measurements[:2]))
    before = dump(db)
    lines = path.read_text().splitlines()
    counts = {"rejected": 0, "read": 0}
    for seed in range(600):
        mutant = tmp_path / "mutant.jsonl"
        mutant.write_bytes(mutate(lines, random.Random(seed)))
        message = None
        try:
            run = importing.read(mutant)
            store.add(replace(run, id=RUN.id))
        except UsageError as error:
            message = str(error)
        assert message is not None, seed
        assert "\n" not in message, seed
        counts["read" if "a different run" in message else "rejected"] += 1
        assert dump(db) == before, seed
    assert min(counts.values()) > 20, counts


ODD = [None, True, -1, 2**70, 1.5, -0.0, 1e308, "", "x" * 300, "../x", [], {}, [[]], {"a": 1}, "ok", "\u2028"]


def mutate(lines, chance):
    """Return the bytes of a file with one to three changes."""
    lines = list(lines)
    for _ in range(chance.randint(1, 3)):
        place = chance.randrange(len(lines))
        kind = chance.randrange(6)
        if kind == 0:
            lines[place] = lines[place][: chance.randrange(len(lines[place]) + 1)]
        elif kind == 1:
            lines.insert(place, lines[chance.randrange(len(lines))])
        elif kind == 2 and lines[place]:
            letter = chance.randrange(len(lines[place]))
            lines[place] = lines[place][:letter] + chr(chance.randrange(32, 127)) + lines[place][letter + 1 :]
        else:
            try:
                data = json.loads(lines[place])
            except ValueError:
                continue
            change_value(data, chance)
            lines[place] = json.dumps(data)
    data = "\n".join(lines).encode()
    if chance.random() < 0.1:
        letter = chance.randrange(len(data) + 1)
        data = data[:letter] + bytes([chance.randrange(256)]) + data[letter + 1 :]
    return data


def change_value(data, chance):
    """Replace, remove or add a value somewhere inside JSON data."""
    while isinstance(data, dict | list) and data:
        key = chance.choice(list(data)) if isinstance(data, dict) else chance.randrange(len(data))
        if isinstance(data[key], dict | list) and data[key] and chance.random() < 0.7:
            data = data[key]
            continue
        if chance.random() < 0.2:
            del data[key]
        else:
            data[key] = copy.deepcopy(chance.choice(ODD))
        return


def dump(db):
    with sqlite3.connect(db) as connection:
        return [
            connection.execute(f"SELECT * FROM {table}").fetchall()
            for table in ("runs", "measurements", "samples")
        ]
