"""The kill switch, wherever a survey is: in an association, in a handshake, in a page, in the sweep; by packet."""

from collections.abc import Generator
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from leadglass.wire.pdu import PDUType
from tests.survey.pits import ACCEPTED, PIT, Pits, Stop, interrupt, pits, stopped_in, touch


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Generator[Pits]:
    """Give the pits."""
    with pits(tmp_path_factory.mktemp("pits")) as made:
        yield made


@pytest.mark.parametrize("stop", [interrupt, touch])
def test_a_stop_ends_it_wherever_it_is(held: Pits, tmp_path: Path, stop: Stop) -> None:
    """How long that takes is in ``benchmarks``; here it is that no answer is waited for, which takes ten seconds."""
    stopped = stopped_in(held, tmp_path, stop)
    capture = stopped.capture
    assert capture.lost == 0
    late = [each for each in capture.connections if each.began > stopped.at + 2]
    assert late == [], "something was begun after the stop"
    made = [each for each in capture.connections if each.is_made]
    assert {str(each.target) for each in made} >= set(held.held)
    assert all(each.ended is not None for each in made), "a connection was left open"
    # the one is aborted, in the other the goodbye was said already
    for address, said in ((PIT, PDUType.ABORT), (ACCEPTED, PDUType.RELEASE_RQ)):
        (line,) = [each for each in made if each.target == IPv4Address(address)]
        assert line.pdus(own=True) == [PDUType.ASSOCIATE_RQ, said]
