"""Profiles: the stored profiles of a database; they belong to no run."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import insert, null, select

from linbench.core.codec import decode, encode
from linbench.core.errors import UsageError
from linbench.core.profile import Profile
from linbench.store.database import hide_password, open_engine, read_connection, transaction
from linbench.store.schema import measurements, profiles


class Profiles:
    """The profiles of a database; they are added but never changed."""

    def __init__(self, place: str, *, write: bool = False) -> None:
        """Open the store.

        Raises:
            StoreError: The store cannot be opened.
        """
        self.place = hide_password(place)
        self._engine = open_engine(place, write=write)

    def add(self, profile: Profile) -> Profile:
        """Add a profile durably and return it with its number."""
        values = encode(profile) | {"case_id": profile.case.id}
        del values["id"]
        values |= {} if profile.breakdown else {"breakdown": null()}
        with transaction(self._engine, self.place) as connection:
            key = connection.execute(insert(profiles).values(values)).inserted_primary_key
        return replace(profile, id=key[0] if key is not None else 0)

    def find(self, name: str) -> Profile:
        """Return the profile with a number, or the last profile of an implementation.

        Raises:
            UsageError: There is no such profile.
        """
        query = select(profiles).order_by(profiles.c.id.desc()).limit(1)
        if name.isdigit():
            query = query.where(profiles.c.id == int(name))
        else:
            query = query.where(profiles.c.implementation == name)
        with read_connection(self._engine, self.place) as connection:
            row = connection.execute(query).mappings().first()
        if row is None:
            raise UsageError(
                f"database {self.place} holds no profile {name!r}; "
                "`linbench profile IMPLEMENTATION` creates one"
            )
        return decode(Profile, dict(row))

    def of_run(self, run: str) -> list[Profile]:
        """Return the profiles of a run's implementations and cases, the earliest first."""
        in_run = (
            select(measurements.c.id)
            .where(
                measurements.c.run == run,
                measurements.c.implementation == profiles.c.implementation,
                measurements.c.case_id == profiles.c.case_id,
            )
            .exists()
        )
        query = select(profiles).where(in_run).order_by(profiles.c.id)
        with read_connection(self._engine, self.place) as connection:
            return [decode(Profile, dict(row)) for row in connection.execute(query).mappings()]
