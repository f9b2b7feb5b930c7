from dataclasses import replace

from synthetic import BARE, BARE_PLAN, ENVIRONMENT
from test_store import ok_row

from linbench.core.measurement import Status
from linbench.core.profile import Breakdown, Profile
from linbench.store.profiles import Profiles
from linbench.store.store import Store


def profile(row, status=Status.OK, **more):
    made = Profile(
        row.operator, row.implementation, row.case, "torch", status, ENVIRONMENT, "it failed", **more
    )
    return made if status is not Status.OK else replace(made, reason=None)


def test_the_profiles_of_a_run_are_those_of_its_implementations_and_cases(tmp_path):
    db = str(tmp_path / "x.db")
    store, profiles = Store(db, write=True), Profiles(db, write=True)
    row, elsewhere, another = ok_row(64), ok_row(128), ok_row(64, "linear/naive")
    run, later = (store.begin(BARE, BARE_PLAN).id for _ in range(2))
    store.append(run, [row, row])
    store.append(later, [elsewhere])
    broken = Breakdown((), 3, 1.0, 1.0, 1.0, 0.0, 1)
    taken = [profiles.add(profile(one)) for one in (row, elsewhere, another)]
    last = profiles.add(profile(row, Status.CRASHED))
    timed = profiles.add(profile(row, breakdown=broken))
    assert profiles.of_run(run) == [taken[0], last, timed]
    assert profiles.of_run(later) == [taken[1]]
    assert Profiles(db).of_run("none") == []
