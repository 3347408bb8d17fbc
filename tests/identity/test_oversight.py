"""Oversight: when what lets people in was last used."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from leadglass.crypto.database import open_sealed
from leadglass.identity import oversight
from leadglass.identity.share import ShareLock
from leadglass.identity.share_store import ShareStore
from leadglass.identity.shares import Shares
from tests.identity.peoplehouse import KEY, PeopleHouse, people_house


@pytest.fixture
def house(tmp_path: Path) -> Iterator[PeopleHouse]:
    with people_house(tmp_path) as made:
        made.person("jane")
        yield made


def test_each_account_was_last_seen_when_somebody_signed_in_with_it(house: PeopleHouse) -> None:
    house.person("joe")
    house.opened()
    first = house.clocks.now
    house.clocks.pass_by(3_600)
    house.opened(peer="10.9.9.9")
    assert oversight.last_seen(house.accounts.store) == {"jane": first + timedelta(hours=1)}


def test_an_account_whose_sessions_have_ended_was_seen_all_the_same(house: PeopleHouse) -> None:
    opened = house.opened()
    house.accounts.sessions.end_all(house.caller(), "jane")
    assert oversight.last_seen(house.accounts.store) == {"jane": opened.session.made}


def test_without_a_database_of_passkeys_nobody_has_one(tmp_path: Path) -> None:
    assert oversight.passkeys(tmp_path / "passkeys.db", KEY) == {}
    assert not (tmp_path / "passkeys.db").exists()


def test_passkeys_are_counted_by_account(tmp_path: Path) -> None:
    path = tmp_path / "passkeys.db"
    connection = open_sealed(path, KEY, create=True)
    connection.execute("CREATE TABLE passkey (person TEXT)")
    connection.executemany("INSERT INTO passkey VALUES (?)", [("jane",), ("joe",), ("jane",)])
    connection.close()
    assert oversight.passkeys(path, KEY) == {"jane": 2, "joe": 1}


def test_links_that_count_are_given_until_they_end(house: PeopleHouse, tmp_path: Path) -> None:
    with ShareStore(tmp_path / "shares.db", KEY, house.log, clock=house.clocks.wall) as store:
        shares = Shares(store)
        jane = house.caller()
        long = shares.give(jane, ["1.2.3"], life=timedelta(days=40), lock=ShareLock.PIN).share
        short = shares.give(jane, ["1.2.3"], life=timedelta(hours=1)).share
        ended = shares.give(jane, ["1.2.3"]).share
        shares.revoke(jane, ended.id)
        assert [each.id for each in oversight.open_links(store, house.clocks.now)] == [long.id, short.id]
        house.clocks.pass_by(7_200)
        assert [each.id for each in oversight.open_links(store, house.clocks.now)] == [long.id]
