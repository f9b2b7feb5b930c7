from synthetic import BARE, BARE_PLAN, ENVIRONMENT
from test_store import ok_row

from linbench.core.measurement import Status
from linbench.core.profile import Breakdown, Profile
from linbench.store.profiles import Profiles
from linbench.store.store import Store


def profile(row, status=Status.OK, **more):
    reason = None if status is Status.OK else "it failed"
    return Profile(row.operator, row.implementation, row.case, "torch", status, ENVIRONMENT, reason, **more)


def test_the_profiles_of_a_run_are_those_of_its_implementations_and_cases(tmp_path):
    db = str(tmp_path / "x.db")
    store, profiles = Store(db, write=True), Profiles(db, write=True)
    row, other_case, other_implementation = ok_row(64), ok_row(128), ok_row(64, "linear/naive")
    run, later = (store.begin(BARE, BARE_PLAN).id for _ in range(2))
    store.append(run, [row, row])
    store.append(later, [other_case])
    breakdown = Breakdown((), 3, 1.0, 1.0, 1.0, 0.0, 1)
    first = profiles.add(profile(row))
    of_other_case = profiles.add(profile(other_case))
    profiles.add(profile(other_implementation))
    crashed = profiles.add(profile(row, Status.CRASHED))
    timed = profiles.add(profile(row, breakdown=breakdown))
    assert profiles.of_run(run) == [first, crashed, timed]
    assert profiles.of_run(later) == [of_other_case]
    assert Profiles(db).of_run("none") == []
