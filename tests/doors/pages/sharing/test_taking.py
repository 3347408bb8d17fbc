"""What comes by a receive link is counted for all of its requests together, taken or not."""

from collections.abc import Generator
from pathlib import Path

import pytest

from leadglass.doors.importing import Fate
from leadglass.doors.pages.sharing.taking import Taking
from leadglass.doors.pages.upload.results import Result, Unpacked
from leadglass.doors.web.problem import HttpFault
from leadglass.identity.share_store import ShareStore
from leadglass.identity.shares import Shares
from leadglass.policy.caller import Caller
from leadglass.policy.roles import Role
from tests.identity.peoplehouse import HERE, KEY, people_house

MIB = 1 << 20


@pytest.fixture
def jane(tmp_path: Path) -> Generator[tuple[Shares, Caller]]:
    with people_house(tmp_path) as house:
        people = house.accounts.people
        name = house.person("jane", Role.TECHNOLOGIST).name
        with ShareStore(tmp_path / "shares.db", KEY, house.log, door="pages", clock=house.clocks.wall) as store:
            yield Shares(store), people.caller_of(people.get(name), HERE, "made by a test")


def _link(jane: tuple[Shares, Caller], *, files: int = 5_000, octets: int = 200 * MIB) -> str:
    shares, caller = jane
    return shares.receive(caller, note="another practice", most_files=files, most_octets=octets).share.id


def _unpacked(**counts: int) -> Unpacked:
    return Unpacked("a.zip", counts, (), 0, ())


def test_members_that_were_read_and_not_taken_use_up_the_link(jane: tuple[Shares, Caller]) -> None:
    """A ZIP of a few bytes that inflates to gigabytes of what is refused is work, each time it is sent."""
    link = _link(jane)
    taking = Taking(jane[0], link, 1_000)
    members = 0
    while taking.member(30 * MIB):
        members += 1
    assert members == 6
    taking.settle([_unpacked(refused=7)])
    with pytest.raises(HttpFault, match="More was sent"):
        Taking(jane[0], link, 1_000)


def test_requests_at_one_time_share_what_the_link_takes(jane: tuple[Shares, Caller]) -> None:
    link = _link(jane)
    some = [Taking(jane[0], link, 1_000) for _ in range(8)]
    going, members = list(some), 0
    while going:
        going = [each for each in going if each.member(10 * MIB)]
        members += len(going)
    # Each may have so much on its way that is not counted yet: 64 MiB.
    assert members * 10 <= 200 + 8 * 64
    assert not some[0].member(1)


def test_many_small_members_are_counted_too(jane: tuple[Shares, Caller]) -> None:
    link = _link(jane, files=250)
    one, other = Taking(jane[0], link, 1_000), Taking(jane[0], link, 1_000)
    turns = 0
    while one.member(1) and other.member(1):
        turns += 1
    assert turns < 250 // 2 + 100


def test_a_link_that_ends_takes_no_more_of_a_zip(jane: tuple[Shares, Caller]) -> None:
    link = _link(jane)
    taking = Taking(jane[0], link, 1_000)
    assert taking.member(MIB)
    jane[0].revoke(jane[1], link)
    assert not all(taking.member(10 * MIB) for _ in range(10))


def test_what_is_taken_is_counted_once(jane: tuple[Shares, Caller]) -> None:
    link = _link(jane)
    taking = Taking(jane[0], link, 3 * MIB)
    for _ in range(150):
        assert taking.member(MIB // 2)
    taking.settle([Unpacked("a.zip", {"waiting": 150}, (), 75 * MIB, ()), Result("b", Fate.WAITING, octets=MIB)])
    share = jane[0].get(jane[1], link)
    assert (share.files, share.octets) == (151, 76 * MIB)
