"""Every service through the door, with DCMTK and pynetdicom as the other side."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from threading import Event, Semaphore
from typing import Any, cast

import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.filebase import DicomIO
from pydicom.filewriter import write_dataset
from pydicom.tag import BaseTag
from pydicom.uid import UID
from pynetdicom import evt

from leadglass.doors.dimse.settings import DimseSettings
from leadglass.wire.client import connect, propose
from leadglass.wire.messages import CStoreRq
from tests.doors.dimse.house import CORE, House, build
from tests.doors.dimse.peer import associate, receiver
from tests.peers.dataset import instance, read_head, split
from tests.peers.dcmtk import Dcmtk, tls_options
from tests.peers.running import free_port, wait_until
from tests.peers.scu import (
    PATIENT_FIND,
    PATIENT_GET,
    PATIENT_MOVE,
    STUDY_FIND,
    STUDY_GET,
    STUDY_MOVE,
    UNCOMPRESSED,
    VERIFICATION,
    Collected,
    Instance,
    Way,
    association,
    find,
    identifier,
    last_status,
    send,
)
from tests.peers.tls import server_context
from tests.peers.tunnel import tunnel

CT_STORAGE = "1.2.840.10008.5.1.4.1.1.2"
MR_STORAGE = "1.2.840.10008.5.1.4.1.1.4"
SC_STORAGE = "1.2.840.10008.5.1.4.1.1.7"
EXPLICIT, IMPLICIT = UNCOMPRESSED
RLE = "1.2.840.10008.1.2.5"
EVERYTHING = "echo,store,find,get,move"


def sample(name: str) -> Path:
    """Give a file shipped inside pydicom."""
    return Path(str(get_testdata_file(name)))


CT = sample("CT_small.dcm")
MR = sample("MR_small.dcm")
MR_RLE = sample("MR_small_RLE.dcm")


def load(path: Path) -> Instance:
    """Read a file as an instance to send."""
    head = read_head(path)
    return instance(path, str(head.SOPClassUID), str(head.SOPInstanceUID))


def study_of(path: Path) -> str:
    return str(read_head(path).StudyInstanceUID)


def test_busy_threads_keep_nobody_out(house: House) -> None:
    way = house.lane("CT1", "echo,store")
    done, working = Event(), Semaphore(0)

    def work() -> None:
        working.release()
        done.wait(60)

    jobs = [house.core.submit(work) for _ in range(CORE)]
    try:
        assert all(working.acquire(timeout=20) for _ in jobs)
        with associate(way, [(VERIFICATION, (IMPLICIT,))]) as assoc:
            assert assoc.is_established
            assert assoc.send_c_echo().Status == 0x0000
        assert not any(job.done() for job in jobs)
    finally:
        done.set()


def options(way: Way) -> list[str]:
    """Give what every DCMTK client is told."""
    return [*tls_options(way.credentials), "-aet", way.ae_title, "-aec", "LEADGLASS", "127.0.0.1", str(way.port)]


# --- all services, both lanes -------------------------------------------------


@pytest.mark.parametrize("lane", ["plaintext", "TLS"])
def test_dcmtk_verifies_stores_finds_gets_and_moves(lane: str, house: House, dcmtk: Dcmtk, tmp_path: Path) -> None:
    port = free_port()
    if lane == "TLS":
        way, receiver = house.enrol("WS1", EVERYTHING), house.enrol("DEST", "store", port=port).credentials
    else:
        way, receiver = house.lane("WS1", EVERYTHING), None
        house.lane("DEST", "store", port=port)
    to, study = options(way), study_of(CT)
    echo = dcmtk("echoscu", *to)
    assert echo.code == 0, echo.said
    store = dcmtk("storescu", *to, MR)
    assert store.code == 0, store.said
    house.take([CT])  # DCMTK encodes anew what it sends
    question = ["-S", "-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={study}"]
    found = dcmtk("findscu", *question, "-k", "PatientID", *to)
    assert "1CT1" in found.said, found.said
    (tmp_path / "got").mkdir()
    with tunnel(("127.0.0.1", way.port), credentials=way.credentials) as through:
        to = options(Way(through, "WS1"))  # getscu and movescu 3.6.7 have no TLS
        got = dcmtk("getscu", *question, "-od", tmp_path / "got", "+B", *to)
        assert got.code == 0, got.said
        with dcmtk.storescp(tmp_path / "moved", port=port, credentials=receiver) as received:
            moved = dcmtk("movescu", *question, "-aem", "DEST", *to)
            assert moved.code == 0, moved.said
            files = received.files()
    (kept,) = (tmp_path / "got").iterdir()
    assert split(kept.read_bytes())[1] == split(CT.read_bytes())[1]
    (kept,) = files
    assert split(kept.read_bytes())[1] == split(CT.read_bytes())[1]


def test_one_device_leaves_associations_for_others_at_its_address(tmp_path: Path) -> None:
    verification = [("1.2.840.10008.1.1", UNCOMPRESSED)]
    with build(tmp_path / "house", settings=DimseSettings(associations=2)) as house:
        greedy, other = house.lane("CT1", "echo"), house.lane("CT2", "echo")
        with associate(greedy, verification) as first, associate(greedy, verification) as second:
            assert first.is_established
            assert second.is_established
            with associate(greedy, verification) as third:
                assert third.is_rejected
            with associate(other, verification) as theirs:
                assert theirs.send_c_echo().Status == 0
        wait_until(lambda: not house.door.open_associations, "the associations to end")
        with associate(greedy, verification) as again:
            assert again.is_established


def test_what_is_acknowledged_is_there_and_what_was_done_is_on_record(house: House) -> None:
    way = house.lane("WS1", EVERYTHING)
    with association(way, [(CT_STORAGE, (EXPLICIT,)), (STUDY_FIND, UNCOMPRESSED)]) as assoc:
        assert send(assoc, load(CT)) == 0x0000
        assert send(assoc, load(CT)) == 0x0000
        status, matches = find(assoc, identifier(QueryRetrieveLevel="STUDY", PatientID="1CT1", StudyInstanceUID=""))
    assert status == 0
    assert [str(match.StudyInstanceUID) for match in matches] == [study_of(CT)]
    recorded = [(event.outcome.value, event.action) for event in house.events("WS1")]
    assert ("permitted", "associate") in recorded
    assert ("permitted", "store") in recorded
    assert ("permitted", "find") in recorded


def test_the_end_of_an_association_closes_its_books(house: House) -> None:
    way = house.lane("WS1", "store")
    with association(way, [(CT_STORAGE, (EXPLICIT,))]) as assoc:
        send(assoc, load(CT))
    wait_until(lambda: house.events("WS1")[-1].outcome.value == "done", "the books are closed")
    closing = [event for event in house.events("WS1") if event.outcome.value == "done"]
    assert [event.detail["instances"] for event in closing] == [1]


# --- negotiation --------------------------------------------------------------


def test_only_what_was_granted_is_accepted_and_the_rest_is_on_record(house: House) -> None:
    way = house.lane("CT1", "store")
    with association(way, [(CT_STORAGE, (EXPLICIT,)), (STUDY_FIND, UNCOMPRESSED), (STUDY_MOVE, UNCOMPRESSED)]) as assoc:
        assert [context.abstract_syntax for context in assoc.accepted_contexts] == [CT_STORAGE]
        assert {context.result for context in assoc.rejected_contexts} == {0x01}
    assert {event.action for event in house.refusals()} == {"find", "move"}
    assert all("not granted" in event.reason for event in house.refusals())


def test_a_class_that_is_no_storage_is_not_supported_for_anybody(house: House) -> None:
    way = house.lane("WS1", EVERYTHING)
    with association(way, [("1.2.840.10008.3.1.2.3.3", UNCOMPRESSED), ("1.2.3.4.5", UNCOMPRESSED)]) as assoc:
        assert [context.result for context in assoc.rejected_contexts] == [0x03, 0x03]


def test_explicit_vr_is_chosen_over_implicit_where_the_sender_has_both(house: House) -> None:
    way = house.lane("WS1", "store")
    with association(way, [(CT_STORAGE, (IMPLICIT, EXPLICIT)), (MR_STORAGE, (RLE, EXPLICIT))]) as assoc:
        chosen = {context.abstract_syntax: context.transfer_syntax[0] for context in assoc.accepted_contexts}
    assert chosen == {CT_STORAGE: EXPLICIT, MR_STORAGE: RLE}


def test_a_private_transfer_syntax_is_taken_when_the_operator_listed_it(tmp_path: Path) -> None:
    listed, other = "1.2.826.0.1.3680043.9.9999.1", "1.2.826.0.1.3680043.9.9999.2"
    settings = DimseSettings(private_syntaxes=frozenset({listed}))
    with build(tmp_path / "house", settings=settings) as house:
        way = house.lane("WS1", "store,get")
        with association(way, [(CT_STORAGE, (other, listed)), (MR_STORAGE, (other,))]) as assoc:
            assert [context.transfer_syntax for context in assoc.accepted_contexts] == [[listed]]
            assert [context.result for context in assoc.rejected_contexts] == [0x04]


def test_relational_queries_are_negotiated_and_then_answered(house: House) -> None:
    house.take([CT])
    way = house.lane("WS1", "find")
    keys = identifier(QueryRetrieveLevel="SERIES", SeriesInstanceUID="", Modality="CT")
    with association(way, [(STUDY_FIND, UNCOMPRESSED)]) as assoc:
        assert find(assoc, keys)[0] == 0xA900

    with associate(way, [(STUDY_FIND, UNCOMPRESSED)], extended=[(STUDY_FIND, b"\x01\x00\x01\x01")]) as assoc:
        assert assoc.acceptor.sop_class_extended == {UID(STUDY_FIND): b"\x01\x00\x00\x00"}
        status, matches = find(assoc, keys)
    assert status == 0
    assert [str(match.Modality) for match in matches] == ["CT"]


# --- storage ------------------------------------------------------------------


def test_an_instance_that_is_not_what_was_declared_does_not_match(house: House) -> None:
    way = house.lane("CT1", "store")
    right = load(CT)
    wrong = Instance(CT_STORAGE, "1.2.3.4.5", EXPLICIT, right.data)
    with association(way, [(CT_STORAGE, (EXPLICIT,))]) as assoc:
        assert send(assoc, wrong) == 0xA900
        assert send(assoc, right) == 0x0000


def test_a_data_set_that_is_none_cannot_be_understood_and_the_association_goes_on(house: House) -> None:
    way = house.lane("CT1", "store")
    with association(way, [(CT_STORAGE, (EXPLICIT,))]) as assoc:
        assert send(assoc, Instance(CT_STORAGE, "1.2.3", EXPLICIT, b"\xff" * 4096)) == 0xC000
        assert send(assoc, load(CT)) == 0x0000
    assert any(event.outcome.value == "failed" for event in house.events("CT1"))


def test_another_instance_with_a_known_uid_is_a_duplicate_and_changes_nothing(house: House) -> None:
    house.take([CT])
    way = house.lane("CT1", "store,get")
    right = load(CT)
    altered = right.data.replace(b"CompressedSamples^CT1", b"CompressedSamples^XX1")
    assert altered != right.data
    with association(way, [(CT_STORAGE, (EXPLICIT,))]) as assoc:
        assert send(assoc, Instance(CT_STORAGE, right.sop_instance_uid, EXPLICIT, altered)) == 0x0111
    collected = fetch(way, study_of(CT), (EXPLICIT,))
    assert collected.instances[right.sop_instance_uid].data == right.data


def large(path: Path, octets: int) -> Instance:
    """Give an instance with so many bytes of pixels, over many blocks."""
    head = read_head(path)
    head.Rows, head.Columns = 1024, octets // 2048
    head.SOPInstanceUID = UID("2.25.4711")
    head.remove_private_tags()
    file = BytesIO()
    write_dataset(DicomIO(file), head)
    value = random.Random(7).randbytes(octets)
    element = b"\xe0\x7f\x10\x00OW\0\0" + len(value).to_bytes(4, "little") + value
    return Instance(str(head.SOPClassUID), "2.25.4711", EXPLICIT, file.getvalue() + element)


def octets(folder: Path) -> int:
    """Count the bytes in a folder's files, some of which may go meanwhile."""
    total = 0
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):
            total += path.stat().st_size if path.is_file() else 0
    return total


def test_a_large_instance_goes_in_and_out_in_blocks_and_stays_the_same(house: House) -> None:
    way = house.lane("WS1", "store,get")
    sent = large(CT, 9 << 20)
    with association(way, [(CT_STORAGE, (EXPLICIT,))]) as assoc:
        assert send(assoc, sent) == 0x0000
    assert fetch(way, study_of(CT), (EXPLICIT,)).instances == {"2.25.4711": sent}


def test_an_association_lost_in_the_middle_of_an_instance_leaves_nothing(house: House) -> None:
    way = house.lane("WS1", "store,find")
    sent = large(CT, 9 << 20)

    async def half() -> AsyncIterator[bytes]:
        for offset in range(0, 4 << 20, 1 << 18):
            yield sent.data[offset : offset + (1 << 18)]
        raise ConnectionError("The cable was pulled.")

    async def store() -> None:
        contexts = propose((CT_STORAGE, (EXPLICIT,)))
        async with connect("127.0.0.1", way.port, calling="WS1", called="LEADGLASS", contexts=contexts) as client:
            request = CStoreRq(
                message_id=1, affected_sop_class_uid=CT_STORAGE, affected_sop_instance_uid=sent.sop_instance_uid
            )
            await client.call(1, request, half())

    before = octets(house.folder / "objects")
    with pytest.raises(ConnectionError):
        asyncio.run(store())
    objects = house.folder / "objects"
    wait_until(lambda: octets(objects) == before, "nothing is left of it")
    with association(way, [(STUDY_FIND, UNCOMPRESSED)]) as assoc:
        assert find(assoc, identifier(QueryRetrieveLevel="STUDY", StudyInstanceUID="")) == (0, [])


# --- retrieval ----------------------------------------------------------------


def fetch(way: Way, study: str, syntaxes: tuple[str, ...], *, sop_class: str = CT_STORAGE) -> Collected:
    """C-GET a study."""
    collected = Collected()
    contexts = [(STUDY_GET, UNCOMPRESSED), *((sop_class, (syntax,)) for syntax in syntaxes)]
    with association(way, contexts, get=collected) as assoc:
        keys = identifier(QueryRetrieveLevel="STUDY", StudyInstanceUID=study)
        answer = last_status(assoc.send_c_get(keys, UID(STUDY_GET)))
        assert answer.Status == 0x0000, answer
    return collected


def test_a_receiver_that_takes_the_stored_transfer_syntax_gets_the_original(house: House) -> None:
    house.take([MR_RLE])
    original = load(MR_RLE)
    collected = fetch(house.lane("WS1", "get"), study_of(MR_RLE), (EXPLICIT, RLE), sop_class=MR_STORAGE)
    assert collected.instances[original.sop_instance_uid] == original


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
def test_a_receiver_that_does_not_gets_it_decompressed(syntax: str, house: House) -> None:
    house.take([MR_RLE])
    collected = fetch(house.lane("WS1", "get"), study_of(MR_RLE), (syntax,), sop_class=MR_STORAGE)
    (received,) = collected.instances.values()
    assert received.transfer_syntax_uid == syntax
    pixels = bytes(cast("Any", pydicom).dcmread(MR).PixelData)
    assert pixels in received.data
    assert len(received.data) < len(pixels) + 4096


def test_a_receiver_that_takes_nothing_it_can_become_hears_which_instance_failed(house: House) -> None:
    house.take([CT])
    way = house.lane("WS1", "get")
    collected = Collected()
    with association(way, [(STUDY_GET, UNCOMPRESSED), (CT_STORAGE, (RLE,))], get=collected) as assoc:
        keys = identifier(QueryRetrieveLevel="STUDY", StudyInstanceUID=study_of(CT))
        *_, (status, failed) = assoc.send_c_get(keys, UID(STUDY_GET))
    assert status.Status == 0xA702
    assert "transfer syntax" in str(status.ErrorComment)
    assert failed is not None
    assert str(failed.FailedSOPInstanceUIDList) == str(read_head(CT).SOPInstanceUID)
    assert collected.instances == {}


def test_some_failures_are_a_warning_with_counts(house: House) -> None:
    house.take([CT, MR])
    way = house.lane("WS1", "get")
    collected = Collected()
    with association(way, [(STUDY_GET, UNCOMPRESSED), (CT_STORAGE, (EXPLICIT,))], get=collected) as assoc:
        keys = identifier(QueryRetrieveLevel="STUDY", StudyInstanceUID=[study_of(CT), study_of(MR)])
        answer = last_status(assoc.send_c_get(keys, UID(STUDY_GET)))
    assert answer.Status == 0xB000
    assert (answer.NumberOfCompletedSuboperations, answer.NumberOfFailedSuboperations) == (1, 1)
    assert len(collected.instances) == 1


@pytest.mark.parametrize(("model", "action"), [(PATIENT_GET, "get"), (STUDY_GET, "get")])
def test_a_retrieval_of_nothing_is_a_success_without_sub_operations(model: str, action: str, house: House) -> None:
    way = house.lane("WS1", action)
    with association(way, [(model, UNCOMPRESSED), (CT_STORAGE, UNCOMPRESSED)], get=Collected()) as assoc:
        keys = identifier(QueryRetrieveLevel="STUDY", PatientID="NOBODY", StudyInstanceUID="1.2.3")
        answer = last_status(assoc.send_c_get(keys, UID(model)))
    assert answer.Status == 0x0000
    assert answer.NumberOfCompletedSuboperations == 0


@pytest.mark.parametrize("level", ["PATIENT", "STUDY", "SERIES", "IMAGE"])
def test_patient_root_retrieves_at_every_level(level: str, house: House) -> None:
    house.take([CT, MR])
    head = read_head(CT)
    way = house.lane("WS1", "get")
    keys = identifier(QueryRetrieveLevel=level, PatientID=str(head.PatientID))
    for depth, keyword in enumerate(("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"), 1):
        if ["PATIENT", "STUDY", "SERIES", "IMAGE"].index(level) >= depth:
            setattr(keys, keyword, str(head[keyword].value))
    collected = Collected()
    with association(way, [(PATIENT_GET, UNCOMPRESSED), (CT_STORAGE, (EXPLICIT,))], get=collected) as assoc:
        answer = last_status(assoc.send_c_get(keys, UID(PATIENT_GET)))
    assert answer.Status == 0x0000
    assert list(collected.instances) == [str(head.SOPInstanceUID)]


def test_a_client_that_stores_and_gets_over_one_context_gets_what_we_can_send(house: House) -> None:
    house.take([CT])
    way = house.lane("WS1", "store,get")
    received: list[str] = []

    def take(event: evt.Event) -> int:
        received.append(str(event.context.transfer_syntax))
        return 0x0000

    contexts = [(STUDY_GET, UNCOMPRESSED), (CT_STORAGE, (RLE, *UNCOMPRESSED))]
    with associate(way, contexts, on_store=take, sends_too=True) as assoc:
        keys = identifier(QueryRetrieveLevel="STUDY", StudyInstanceUID=study_of(CT))
        answer = last_status(assoc.send_c_get(keys, UID(STUDY_GET)))
    assert answer.Status == 0x0000
    assert received == [EXPLICIT]


# --- cancel -------------------------------------------------------------------


def test_a_cancelled_retrieval_stops_and_says_what_remains(house: House, corpus: Path) -> None:
    files = sorted((corpus / "series" / "mr_prostate_adc").iterdir())
    house.take(files)
    way = house.lane("WS1", "get")
    received = 0

    def take(event: evt.Event) -> int:
        nonlocal received
        received += 1
        if received == 2:
            event.assoc.send_c_cancel(1, query_model=UID(STUDY_GET))
        return 0x0000

    with associate(way, [(STUDY_GET, UNCOMPRESSED), (MR_STORAGE, UNCOMPRESSED)], on_store=take) as a:
        keys = identifier(QueryRetrieveLevel="STUDY", StudyInstanceUID=study_of(files[0]))
        answer = last_status(a.send_c_get(keys, UID(STUDY_GET)))
    assert answer.Status == 0xFE00
    assert answer.NumberOfRemainingSuboperations + answer.NumberOfCompletedSuboperations == len(files)
    assert answer.NumberOfRemainingSuboperations > 0


def test_a_cancelled_query_stops(house: House, corpus: Path) -> None:
    files = sorted((corpus / "series" / "mr_t1_defaced").iterdir())
    house.take(files)
    way = house.lane("WS1", "find")
    head = read_head(files[0])
    keys = identifier(
        QueryRetrieveLevel="IMAGE",
        StudyInstanceUID=str(head.StudyInstanceUID),
        SeriesInstanceUID=str(head.SeriesInstanceUID),
        SOPInstanceUID="",
    )
    with association(way, [(STUDY_FIND, UNCOMPRESSED)]) as assoc:
        answers = assoc.send_c_find(keys, UID(STUDY_FIND), msg_id=7)
        next(answers)
        assoc.send_c_cancel(7, query_model=UID(STUDY_FIND))
        statuses = [int(status.Status) for status, _ in answers]
    assert statuses[-1] in {0xFE00, 0x0000}
    assert len(statuses) <= len(files)


# --- C-MOVE -------------------------------------------------------------------


def test_a_move_tells_its_originator_to_the_receiver_and_prefers_the_original(house: House) -> None:
    port = free_port()
    house.take([MR_RLE, CT])
    way = house.lane("WS1", "move")
    house.lane("DEST", "store", port=port)
    contexts = [(MR_STORAGE, (RLE, EXPLICIT)), (CT_STORAGE, (EXPLICIT,))]
    with receiver("DEST", contexts, port=port) as collected, association(way, [(STUDY_MOVE, UNCOMPRESSED)]) as assoc:
        keys = identifier(QueryRetrieveLevel="STUDY", StudyInstanceUID=[study_of(MR_RLE), study_of(CT)])
        answer = last_status(assoc.send_c_move(keys, "DEST", UID(STUDY_MOVE), msg_id=99))
    assert answer.Status == 0x0000
    assert collected.instances == {one.sop_instance_uid: one for one in (load(MR_RLE), load(CT))}
    assert collected.originators == {("WS1", 99)}


def test_a_destination_that_is_no_device_of_ours_is_unknown_and_on_record(house: House) -> None:
    house.take([CT])
    way = house.lane("WS1", "move")
    house.lane("DEAF", "store")
    for name, reason in (("NOWHERE", "no registered device"), ("DEAF", "without host and port")):
        with association(way, [(STUDY_MOVE, UNCOMPRESSED)]) as assoc:
            keys = identifier(QueryRetrieveLevel="STUDY", StudyInstanceUID=study_of(CT))
            answer = last_status(assoc.send_c_move(keys, name, UID(STUDY_MOVE)))
        assert answer.Status == 0xA801
        assert reason in house.refusals()[-1].reason
        assert house.refusals()[-1].detail["to"] == name


def test_a_destination_that_cannot_be_reached_fails_every_sub_operation(house: House) -> None:
    house.take([CT, MR])
    way = house.lane("WS1", "move")
    house.lane("DEST", "store", port=free_port())
    with association(way, [(PATIENT_MOVE, UNCOMPRESSED)]) as assoc:
        keys = identifier(QueryRetrieveLevel="PATIENT", PatientID="1CT1")
        answer = last_status(assoc.send_c_move(keys, "DEST", UID(PATIENT_MOVE)))
    assert answer.Status == 0xA702
    assert answer.NumberOfFailedSuboperations == 1
    assert "No connection" in str(answer.ErrorComment)


def test_a_destination_with_another_devices_certificate_gets_nothing(house: House) -> None:
    port = free_port()
    house.take([CT])
    way = house.lane("WS1", "move")
    house.enrol("DEST", "store", port=port)
    other = house.enrol("OTHER", "store").credentials
    assert other is not None
    with (
        receiver("DEST", [(CT_STORAGE, (EXPLICIT,))], port=port, tls=server_context(other)) as collected,
        association(way, [(STUDY_MOVE, UNCOMPRESSED)]) as assoc,
    ):
        keys = identifier(QueryRetrieveLevel="STUDY", StudyInstanceUID=study_of(CT))
        answer = last_status(assoc.send_c_move(keys, "DEST", UID(STUDY_MOVE)))
    assert answer.Status == 0xA702
    assert collected.instances == {}


def test_a_device_with_a_certificate_is_never_sent_to_in_plaintext(house: House) -> None:
    port = free_port()
    house.take([CT])
    way = house.lane("WS1", "move")
    house.enrol("DEST", "store", port=port)
    with (
        receiver("DEST", [(CT_STORAGE, (EXPLICIT,))], port=port) as collected,
        association(way, [(STUDY_MOVE, UNCOMPRESSED)]) as assoc,
    ):
        keys = identifier(QueryRetrieveLevel="STUDY", StudyInstanceUID=study_of(CT))
        answer = last_status(assoc.send_c_move(keys, "DEST", UID(STUDY_MOVE)))
    assert answer.Status == 0xA702
    assert collected.instances == {}


def test_a_name_that_leads_out_of_the_devices_addresses_is_not_sent_to_in_plaintext(house: House) -> None:
    port = free_port()
    house.take([CT])
    way = house.lane("WS1", "move")
    house.lane("DEST", "store", address="127.0.0.9", host="localhost", port=port)
    with (
        receiver("DEST", [(CT_STORAGE, (EXPLICIT,))], port=port) as collected,
        association(way, [(STUDY_MOVE, UNCOMPRESSED)]) as assoc,
    ):
        keys = identifier(QueryRetrieveLevel="STUDY", StudyInstanceUID=study_of(CT))
        answer = last_status(assoc.send_c_move(keys, "DEST", UID(STUDY_MOVE)))
    assert answer.Status == 0xA702
    assert "outside of the addresses" in str(answer.ErrorComment)
    assert collected.instances == {}


def test_a_receiver_that_gives_up_half_way_costs_the_rest_and_the_asker_hears_how_many(
    house: House, corpus: Path
) -> None:
    port = free_port()
    files = sorted((corpus / "series" / "mr_prostate_adc").iterdir())[:6]
    house.take(files)
    way = house.lane("WS1", "move")
    house.lane("DEST", "store", port=port)
    with (
        receiver("DEST", [(MR_STORAGE, UNCOMPRESSED)], port=port, limit=2) as received,
        association(way, [(STUDY_MOVE, UNCOMPRESSED)]) as assoc,
    ):
        keys = identifier(QueryRetrieveLevel="STUDY", StudyInstanceUID=study_of(files[0]))
        answer = last_status(assoc.send_c_move(keys, "DEST", UID(STUDY_MOVE)))
    assert answer.Status == 0xB000
    assert (answer.NumberOfCompletedSuboperations, answer.NumberOfFailedSuboperations) == (2, 4)
    assert len(received.instances) == 2


# --- identifiers --------------------------------------------------------------


@pytest.mark.parametrize("model", [PATIENT_FIND, STUDY_FIND])
def test_an_identifier_without_a_level_does_not_match_its_class(model: str, house: House) -> None:
    way = house.lane("WS1", "find")
    with association(way, [(model, UNCOMPRESSED)]) as assoc:
        assert find(assoc, identifier(PatientID="1CT1"), model)[0] == 0xA900


def test_a_retrieval_of_everything_is_refused(house: House) -> None:
    house.take([CT])
    way = house.lane("WS1", "get")
    with association(way, [(STUDY_GET, UNCOMPRESSED), (CT_STORAGE, UNCOMPRESSED)], get=Collected()) as assoc:
        keys = identifier(QueryRetrieveLevel="STUDY", StudyInstanceUID="")
        assert last_status(assoc.send_c_get(keys, UID(STUDY_GET))).Status == 0xA900


def test_an_oversized_identifier_is_refused_and_the_association_goes_on(house: House) -> None:
    way = house.lane("WS1", "find")
    with association(way, [(STUDY_FIND, (IMPLICIT,))]) as assoc:
        keys = identifier(QueryRetrieveLevel="STUDY", StudyInstanceUID=["1.2.3"] * 300_000)
        assert find(assoc, keys)[0] == 0xA900
        assert find(assoc, identifier(QueryRetrieveLevel="STUDY", StudyInstanceUID="1.2.3"))[0] == 0x0000


def test_an_unknown_operation_is_not_recognized(house: House) -> None:
    way = house.lane("WS1", "echo")
    with association(way, [("1.2.840.10008.1.1", UNCOMPRESSED)]) as assoc:
        status, _ = assoc.send_n_get([BaseTag(0x00100010)], UID("1.2.840.10008.1.1"), UID("1.2.3"))
    assert status.Status == 0x0211
