"""A clock that is set back: the latest run is the one begun last, and runs are resumed all the same."""

import json


def test_the_clock_is_set_back_between_runs_and_during_them(paced):
    runs = []
    for clock in ("2026-11-22T12:00", "2001-01-01T12:00", "2013-06-01T12:00"):
        process, printed = paced.start("x.db", PACED=json.dumps({"clock": clock}))
        runs.append(json.loads(printed[0])["run"])
        assert runs[-1].startswith(clock[:4])
        process.kill()
        process.communicate()
    out, _ = paced("list", "runs", "--db", "x.db", "--format", "json")
    assert [json.loads(line)["run"] for line in out.splitlines()] == runs[::-1]
    _, error = paced("run", "--resume", "latest", "--db", "x.db", "--no-report", "--format", "json")
    assert f"run {runs[-1]}: 6 rows" in error
    paced.resumed("x.db", runs[0], shown(paced, runs[0]))
    assert shown(paced, "latest") == shown(paced, runs[-1])


def shown(paced, run):
    return paced("show", run, "--db", "x.db", "--format", "json")[0].splitlines(True)
