"""The log at the collector: nothing is missing there, whatever happens on the way."""

import os
import signal
import ssl
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from leadglass.audit import cursor
from leadglass.audit.collector import Collector, Pace
from leadglass.audit.event import Event, Outcome
from leadglass.audit.log import AuditLog
from leadglass.audit.syslog import Format, Sender
from leadglass.crypto.ca import Authority
from leadglass.crypto.tls import client_context
from tests.audit.conftest import KEY, SEED
from tests.peers.collector import Collector as Peer
from tests.peers.collector import eventually

QUICK = Pace(
    poll=0.02, patience=5.0, confirm_records=50, confirm_after=0.05, silence=5.0, heartbeat=60.0, alert_after=0.2
)


@dataclass(frozen=True, slots=True)
class House:
    """Certificates of one authority."""

    authority: Path
    ours: Path
    theirs: Path


def house_in(folder: Path) -> House:
    folder.mkdir()
    authority = Authority.create(folder / "ca.pem", folder / "ca.key")
    ours = authority.ensure_server_certificate(folder / "ours.pem", ["archive.example"])
    theirs = authority.ensure_server_certificate(folder / "theirs.pem", ["127.0.0.1"])
    return House(folder / "ca.pem", ours, theirs)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    return house_in(tmp_path_factory.mktemp("tls") / "house")


@pytest.fixture
def peer(house: House) -> Iterator[Peer]:
    with Peer(house.theirs, house.authority) as peer:
        yield peer
        assert peer.faults == []


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "audit.collector"


def sender(log: AuditLog, form: Format = Format.DICOM_XML) -> Sender:
    return Sender("archive", "LEADGLASS", log.verifier.origin, os.getpid(), form=form)


def context_of(house: House, ours: Path | None = None) -> Callable[[], ssl.SSLContext]:
    return lambda: client_context(ours or house.ours, house.authority, check_hostname=True)


@contextmanager
def collecting(
    log: AuditLog, state: Path, peer: Peer, context: Callable[[], ssl.SSLContext], form: Format = Format.DICOM_XML
) -> Generator[Collector]:
    collector = Collector(log, state, ("127.0.0.1", peer.port), context, sender(log, form), pace=QUICK)
    collector.start()
    try:
        yield collector
    finally:
        collector.close()


def write(log: AuditLog, count: int) -> None:
    for number in range(count):
        log.append(Event(Outcome.PERMITTED, "store", caller="device:CT1", peer="10.0.0.1", study_uid=f"1.2.{number}"))


def has(peer: Peer, last: int) -> Callable[[], bool]:
    return lambda: set(range(1, last + 1)) <= set(peer.sequences())


def test_every_record_comes_once_and_in_order_and_each_is_confirmed(
    log: AuditLog, state: Path, peer: Peer, house: House
) -> None:
    write(log, 120)
    with collecting(log, state, peer, context_of(house)):
        eventually(has(peer, 120), "the first records")
        write(log, 30)
        eventually(lambda: cursor.load(state).sequence == 150, "all are confirmed")
    assert peer.sequences() == list(range(1, 151))
    assert {message.kind for message in peer.messages} == {"DICOM+RFC3881", "LEADGLASS+CHECKPOINT"}
    assert {m.priority for m in peer.messages} == {10 * 8 + 5}
    assert all(m.content.startswith(b"\xef\xbb\xbf<?xml") for m in peer.messages if "sequence" in m.data)


def test_signed_heads_come_too_and_prove_the_log(log: AuditLog, state: Path, peer: Peer, house: House) -> None:
    write(log, 40)
    with collecting(log, state, peer, context_of(house)):
        eventually(lambda: bool(peer.heads()), "a signed head")
    heads = peer.heads()
    assert max(log.verifier.open(head).size for head in heads) == 40
    assert log.verify(*heads).ok


def test_in_json_the_records_own_bytes_come(log: AuditLog, state: Path, peer: Peer, house: House) -> None:
    log.append(Event(Outcome.REFUSED, "associate", peer="10.0.0.9", reason='"]\\ \n é'))
    with collecting(log, state, peer, context_of(house), Format.JSON):
        eventually(has(peer, 1), "the record")
    with log.reader() as reader:
        (row,) = reader.after(0, 10)
    (message,) = [message for message in peer.messages if message.kind == "LEADGLASS+JSON"]
    assert message.content.decode() == row.body
    assert message.priority == 10 * 8 + 4


@pytest.mark.parametrize("how", ["at once", "slow"])
def test_a_collector_that_is_killed_mid_stream_misses_nothing_when_it_is_back(
    how: str, log: AuditLog, state: Path, peer: Peer, house: House
) -> None:
    peer.is_slow = how == "slow"
    peer.dies_after = 73
    write(log, 300)
    with collecting(log, state, peer, context_of(house)):
        eventually(lambda: peer.dies_after is None, "it is killed")
        assert cursor.load(state).sequence <= 73
        write(log, 20)
        peer.start()
        eventually(has(peer, 320), "what it missed")
    peer.faults.clear()  # half a message, when it was killed in the middle of one


def test_a_collector_that_does_not_end_connections_gets_everything_all_the_same(
    log: AuditLog, state: Path, peer: Peer, house: House
) -> None:
    peer.is_silent = True
    write(log, 40)
    with collecting(log, state, peer, context_of(house)):
        eventually(lambda: cursor.load(state).sequence == 40, "its machine has acknowledged all")
    assert peer.sequences() == list(range(1, 41))


def test_what_was_confirmed_is_not_sent_again_after_a_restart_and_nothing_is_left_out(
    log: AuditLog, state: Path, peer: Peer, house: House
) -> None:
    write(log, 60)
    with collecting(log, state, peer, context_of(house)):
        eventually(lambda: cursor.load(state).sequence == 60, "confirmed")
    write(log, 40)
    with collecting(log, state, peer, context_of(house)):
        eventually(has(peer, 100), "the rest")
    assert peer.sequences() == list(range(1, 101))


def test_a_wrong_certificate_of_the_collector_gets_not_one_record(
    log: AuditLog, state: Path, house: House, tmp_path: Path
) -> None:
    stranger = house_in(tmp_path / "stranger")
    write(log, 10)
    with Peer(stranger.theirs, house.authority) as peer, collecting(log, state, peer, context_of(house)):
        eventually(lambda: len(alerts(log)) == 1, "an alert")
    assert peer.messages == []
    assert "certificate" in alerts(log)[0].reason


def test_a_certificate_for_another_name_gets_not_one_record(log: AuditLog, state: Path, house: House) -> None:
    write(log, 10)
    with Peer(house.ours, house.authority) as peer, collecting(log, state, peer, context_of(house)):
        eventually(lambda: len(alerts(log)) == 1, "an alert")
    assert peer.messages == []


def test_a_collector_that_does_not_accept_our_certificate_confirms_nothing(
    log: AuditLog, state: Path, house: House, tmp_path: Path
) -> None:
    stranger = house_in(tmp_path / "stranger")
    write(log, 10)
    with Peer(house.theirs, house.authority) as peer:
        with collecting(log, state, peer, context_of(house, stranger.ours)):
            eventually(lambda: len(alerts(log)) == 1, "an alert")
        assert peer.messages == []
        assert cursor.load(state).sequence == 0


def alerts(log: AuditLog) -> list[Event]:
    return [record.event for record in log.records(action="collect")]


def test_an_outage_is_on_record_once_and_its_end_once_however_often_it_is_tried(
    log: AuditLog, state: Path, house: House
) -> None:
    with Peer(house.theirs, house.authority) as peer:
        peer.kill()
        write(log, 5)
        with collecting(log, state, peer, context_of(house)):
            eventually(lambda: len(alerts(log)) == 1, "the alert")
            eventually(lambda: cursor.load(state).alerted, "it is remembered")
        with collecting(log, state, peer, context_of(house)):  # a restart in the middle of it tells nothing anew
            peer.start()
            eventually(has(peer, 7), "the records, and those of the outage")
            eventually(lambda: cursor.load(state).sequence == 7, "all confirmed")
    assert [event.outcome for event in alerts(log)] == [Outcome.ALERT, Outcome.DONE]
    assert alerts(log)[0].detail["waiting"] == 5
    assert log.records()[-1].sequence == 7


def test_a_log_that_was_put_back_is_an_alert_and_what_is_new_is_sent(
    log: AuditLog, state: Path, peer: Peer, house: House
) -> None:
    write(log, 10)
    cursor.save(state, cursor.Cursor(sequence=50))
    with collecting(log, state, peer, context_of(house)):
        eventually(lambda: 11 in peer.sequences(), "the alert itself")
    assert [event.outcome for event in alerts(log)] == [Outcome.ALERT]
    assert peer.sequences() == [11]


ARCHIVE = """
import os, sys, time
from pathlib import Path
from leadglass.audit.collector import Collector, Pace
from leadglass.audit.event import Event, Outcome
from leadglass.audit.log import AuditLog
from leadglass.audit.syslog import Sender
from leadglass.crypto.tls import client_context
folder, ours, authority, port = Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])
log = AuditLog(folder / "audit.db", bytes(32), bytes(range(32)), checkpoint_every=10)
pace = Pace(poll=0.01, patience=5, confirm_records=7, confirm_after=0.03, silence=2, alert_after=60)
context = lambda: client_context(ours, authority, check_hostname=True)
sender = Sender("archive", "LEADGLASS", log.verifier.origin, os.getpid())
Collector(log, folder / "audit.collector", ("127.0.0.1", port), context, sender, pace=pace).start()
while True:
    number = log.append(Event(Outcome.PERMITTED, "store", caller="device:CT1"))
    print(number, flush=True)
"""


def test_an_archive_that_is_killed_again_and_again_leaves_no_gap(
    tmp_path: Path, state: Path, peer: Peer, house: House
) -> None:
    last = 0
    for life in range(4):
        arguments = [
            sys.executable,
            "-c",
            ARCHIVE,
            str(tmp_path),
            str(house.ours),
            str(house.authority),
            str(peer.port),
        ]
        with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for line in process.stdout:
                last = int(line)
                if last >= (life + 1) * 37:
                    break
            process.send_signal(signal.SIGKILL)
    peer.faults.clear()  # halves of messages
    with AuditLog(tmp_path / "audit.db", KEY, SEED) as log:
        size = log.records(limit=1)[0].sequence
        assert size >= last
        with collecting(log, state, peer, context_of(house)):
            eventually(has(peer, size), "every record")
