"""A clock that is set back: the latest run is the run that began last, and runs can be resumed."""

import json


def test_runs_are_in_order_and_resumable_when_the_clock_is_set_back(paced):
    runs = []
    for clock in ("2026-11-22T12:00", "2001-01-01T12:00", "2013-06-01T12:00"):
        process, lines = paced.start("x.db", PACED=json.dumps({"clock": clock}))
        runs.append(json.loads(lines[0])["run"])
        assert runs[-1].startswith(clock[:4])
        process.kill()
        process.communicate()
    stdout, _ = paced("list", "runs", "--db", "x.db", "--format", "json")
    assert [json.loads(line)["run"] for line in stdout.splitlines()] == runs[::-1]
    _, error = paced("run", "--resume", "latest", "--db", "x.db", "--no-report", "--format", "json")
    assert f"run {runs[-1]}: 6 rows" in error
    paced.assert_resumes("x.db", runs[0], show(paced, runs[0]))
    assert show(paced, "latest") == show(paced, runs[-1])


def show(paced, run):
    return paced("show", run, "--db", "x.db", "--format", "json")[0].splitlines(True)
