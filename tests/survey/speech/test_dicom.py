"""DICOM as the survey speaks it, against peers that say anything: nothing is raised, kept, or believed."""

import asyncio
from collections.abc import Callable, Coroutine
from ipaddress import ip_address
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadglass.survey.checks import dicom_answers, dicom_query, dicom_services
from leadglass.survey.gate import Line
from leadglass.survey.journal import Journal
from leadglass.survey.scope import Address
from leadglass.survey.speech import dicom
from leadglass.survey.speech.dicom import Answer, Counted, Nature, Queried, Speaker
from leadglass.wire import command_set
from leadglass.wire.messages import CFindRsp
from leadglass.wire.pdu import (
    CALLED_AE_TITLE_NOT_RECOGNIZED,
    PDV,
    Abort,
    AssociateAccept,
    PData,
    PDUType,
    ReleaseRP,
    decode,
    encode,
)
from tests.survey.canaries import Canary
from tests.survey.surroundings import listening
from tests.survey.visiting import visit

ACCEPT = encode(
    AssociateAccept(
        called_ae_title="ANY", calling_ae_title="ANY", contexts={1: dicom.IMPLICIT_VR_LITTLE_ENDIAN},
        implementation_class_uid="1.2.3",
    )
)  # fmt: skip


class Pipe:
    """A writer that keeps what is sent."""

    def __init__(self) -> None:
        self.sent = bytearray()

    def write(self, data: bytes) -> None:
        self.sent += data

    def get_extra_info(self, name: str) -> None:
        """Know nothing of a connection."""

    async def drain(self) -> None:
        await asyncio.sleep(0)

    def kinds(self) -> list[int]:
        """Give the kinds of the PDUs that were sent."""
        kinds: list[int] = []
        at = 0
        while at < len(self.sent):
            length = int.from_bytes(self.sent[at + 2 : at + 6], "big")
            decode(self.sent[at], memoryview(bytes(self.sent[at + 6 : at + 6 + length])))
            kinds.append(self.sent[at])
            at += 6 + length
        return kinds


class Unwritten(Journal):
    """A journal that is not kept."""

    def __init__(self) -> None:
        pass

    def write(self, act: str, check: str, address: Address, port: int, octets: int = 0) -> None:
        """Keep nothing."""


def said(answer: bytes, scene: Callable[[Speaker], Coroutine[Any, Any, Any]]) -> tuple[Any, Pipe]:
    """Play a scene against a peer that says ``answer`` whatever it is told, and closes."""

    async def play() -> tuple[Any, Pipe]:
        reader, pipe = asyncio.StreamReader(), Pipe()
        reader.feed_data(answer)
        reader.feed_eof()
        writer = cast("asyncio.StreamWriter", pipe)
        line = Line(reader, writer, Unwritten(), "a check", ip_address("127.0.0.1"), 104)
        return await scene(Speaker(line)), pipe

    return asyncio.run(play())


async def associate(speaker: Speaker) -> Answer:
    return await speaker.associate("A", "B", dicom.contexts(dicom.STUDY_ROOT_FIND))


async def ask(speaker: Speaker) -> Queried:
    assert (await associate(speaker)).nature is Nature.ACCEPTED
    queried = await speaker.null_query(1)
    await speaker.release()
    return queried


def response(status: int, data_set: bytes | None = None) -> bytes:
    """Give a C-FIND-RSP."""
    command = CFindRsp(message_id_being_responded_to=1, status=status, affected_sop_class_uid=dicom.STUDY_ROOT_FIND)
    made = encode(PData((PDV(1, True, True, command_set.encode(command, has_data_set=data_set is not None)),)))
    return made if data_set is None else made + encode(PData((PDV(1, False, True, data_set),)))


@given(st.binary(max_size=400))
def test_whatever_answers_is_an_answer_and_nothing_is_raised(answer: bytes) -> None:
    found, pipe = said(answer, associate)
    assert isinstance(found, Answer)
    assert pipe.kinds()[0] == PDUType.ASSOCIATE_RQ


@given(st.binary(max_size=300), st.integers(0, 255))
def test_an_acceptance_with_anything_in_it_is_read_or_is_no_dicom(noise: bytes, kind: int) -> None:
    for body in (noise, ACCEPT[6:74] + noise):
        found, _ = said(bytes((kind, 0)) + len(body).to_bytes(4, "big") + body, associate)
        assert found.nature in {Nature.ACCEPTED, Nature.REJECTED, Nature.ABORTED, Nature.NOT_DICOM}
        if found.nature is Nature.ACCEPTED:
            assert kind == PDUType.ASSOCIATE_AC


def record(images: bytes) -> bytes:
    """Give a record as an archive gives it: a UID, a name nobody asked for, and a number of images."""
    return b"".join(
        group.to_bytes(2, "little") + element.to_bytes(2, "little") + len(value).to_bytes(4, "little") + value
        for group, element, value in (
            (0x0010, 0x0010, b"CANARY^NAME "),
            (0x0020, 0x000D, b"1.2.3\0"),
            (0x0020, 0x1208, images),
        )
    )


async def count(speaker: Speaker) -> Counted:
    assert (await associate(speaker)).nature is Nature.ACCEPTED
    counted = await speaker.count_studies(1, 3)
    await speaker.release()
    return counted


def test_studies_are_counted_by_their_numbers_of_images_alone() -> None:
    answer = ACCEPT + response(0xFF00, record(b"12")) + response(0xFF01, record(b"  7 ")) + response(0)
    found, pipe = said(answer, count)
    assert found == Counted(2, 19, is_told=True, is_all=True)
    assert pipe.kinds() == [PDUType.ASSOCIATE_RQ, PDUType.P_DATA_TF, PDUType.P_DATA_TF, PDUType.RELEASE_RQ]


def test_more_than_is_counted_is_cancelled_and_what_does_not_end_is_aborted() -> None:
    many = ACCEPT + response(0xFF00, record(b"1 ")) * 5
    found, pipe = said(many + response(0xFE00), count)
    assert found == Counted(3, 3, is_told=True)
    assert pipe.kinds()[-2:] == [PDUType.P_DATA_TF, PDUType.RELEASE_RQ], "C-CANCEL-RQ, and a goodbye"
    _, pipe = said(many, count)
    assert pipe.kinds()[-1] == PDUType.ABORT


@pytest.mark.parametrize("images", [b"", b"-1", b"1e9", b"9" * 10, "\N{ARABIC-INDIC DIGIT THREE}".encode()])
def test_what_is_no_number_of_images_is_none(images: bytes) -> None:
    found, _ = said(ACCEPT + response(0xFF00, record(images)) + response(0), count)
    assert found == Counted(1, 0, is_told=False, is_all=True)


@given(st.binary(max_size=400))
def test_whatever_answers_is_counted_or_not_and_nothing_is_raised(answer: bytes) -> None:
    found, _ = said(ACCEPT + answer, count)
    assert found.studies <= 3
    found, _ = said(ACCEPT + response(0xFF00, answer) + response(0), count)
    assert found.studies == 1


@given(st.binary(max_size=400))
def test_whatever_answers_a_query_no_records_are_believed_that_no_response_says(answer: bytes) -> None:
    found, _ = said(ACCEPT + answer, ask)
    assert isinstance(found, Queried)
    assert not found.gave_records
    assert found.status is None


@pytest.mark.parametrize(
    ("answer", "nature"),
    [
        (b"", Nature.CLOSED),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", Nature.NOT_DICOM),
        (b"SSH-2.0-OpenSSH_9.2\r\n", Nature.NOT_DICOM),
        (encode(CALLED_AE_TITLE_NOT_RECOGNIZED), Nature.REJECTED),
        (encode(Abort(2, 0)), Nature.ABORTED),
        (ACCEPT, Nature.ACCEPTED),
        (ACCEPT[:40], Nature.CLOSED),
        (b"\x02\x00\xff\xff\xff\xff" + bytes(100), Nature.NOT_DICOM),
    ],
)
def test_what_answers_is_told_apart(answer: bytes, nature: Nature) -> None:
    assert said(answer, associate)[0].nature is nature


def test_an_alert_of_tls_is_no_dicom_and_worth_another_try_in_tls() -> None:
    assert said(b"\x15\x03\x01\x00\x02\x02\x46", associate)[0].may_be_tls
    assert not said(b"HTTP/1.1 400 Bad Request\r\n\r\n", associate)[0].may_be_tls


def test_a_query_that_nothing_matches_is_answered_by_success_and_released() -> None:
    found, pipe = said(ACCEPT + response(0) + encode(ReleaseRP()), ask)
    assert found == Queried(0)
    assert pipe.kinds()[-1] == PDUType.RELEASE_RQ


@pytest.mark.parametrize("status", [0xA700, 0xA900, 0xC001, 0x0122, 0x0124])
def test_a_refused_query_is_no_answer(status: int) -> None:
    found, _ = said(ACCEPT + response(status) + encode(ReleaseRP()), ask)
    assert found.status == status
    assert not found.gave_records


def test_records_that_come_all_the_same_are_dropped_unread_and_the_association_aborted() -> None:
    canary = Canary()
    found, pipe = said(ACCEPT + response(0xFF00, canary.text.encode()) * 50, ask)
    assert found == Queried(0xFF00, gave_records=True)
    assert pipe.kinds()[-1] == PDUType.ABORT
    assert PDUType.RELEASE_RQ not in pipe.kinds()
    assert canary.text not in repr(found)


def test_a_query_that_is_answered_by_an_abort_is_refused_and_nothing_more_is_said() -> None:
    found, pipe = said(ACCEPT + encode(Abort(0, 0)), ask)
    assert found == Queried(None, was_aborted=True)
    assert pipe.kinds() == [PDUType.ASSOCIATE_RQ, PDUType.P_DATA_TF, PDUType.P_DATA_TF]


def test_endless_fragments_end() -> None:
    command = encode(PData((PDV(1, True, False, bytes(8_000)),)))
    records = encode(PData((PDV(1, False, False, bytes(8_000)),)))
    for answer in (command * 200, records * 200):
        found, pipe = said(ACCEPT + answer, ask)
        assert found == Queried(None)
        assert pipe.kinds()[-1] == PDUType.ABORT


def test_the_question_holds_nobody() -> None:
    _, pipe = said(ACCEPT + response(0) + encode(ReleaseRP()), ask)
    sent = bytes(pipe.sent)
    assert sent.count(b"2.25.") >= 1
    identifier = sent[sent.index(b"STUDY ") - 8 : sent.index(b"\x05\x00\x00\x00\x00\x04")]
    assert identifier[:4] == bytes.fromhex("08005200")
    assert len(identifier) <= 8 + 6 + 8 + 64  # two elements: the level, and a UID that nothing has


def test_random_names_are_never_the_same_and_can_be_written() -> None:
    titles, uids = {dicom.random_title() for _ in range(200)}, {dicom.random_uid() for _ in range(200)}
    assert len(titles) == len(uids) == 200
    assert all(len(each) <= 16 for each in titles)
    assert all(len(each) <= 64 for each in uids)


def test_a_peer_that_drips_is_not_waited_for_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One byte at a time would keep the line open for days; the whole of an answer has its own limit."""
    monkeypatch.setattr(dicom, "_IN_ALL", 0.3)
    monkeypatch.setattr("leadglass.survey.gate.CONNECT", 0.3)
    monkeypatch.setattr("leadglass.survey.gate.ANSWER", 0.1)

    def drip(line: Any) -> None:
        line.recv(4096)
        for each in ACCEPT * 100:
            line.sendall(bytes((each,)))
            line.settimeout(0.05)
            try:
                if not line.recv(1):
                    return
            except TimeoutError:
                continue

    with listening(drip) as port:
        visited = visit(tmp_path, port, (dicom_answers.CHECK,))
    assert visited.outcome.is_open
    assert visited.outcome.findings == ()


def test_what_ends_as_nothing_should_is_sent_no_more(tmp_path: Path) -> None:
    """It accepts, and then closes in the middle of the query: no check after that is made."""

    def serve(line: Any) -> None:
        while head := line.recv(6):
            line.recv(65_536)
            match head[0]:
                case PDUType.ASSOCIATE_RQ:
                    line.sendall(ACCEPT)
                case PDUType.RELEASE_RQ:
                    line.sendall(encode(ReleaseRP()))
                case _:
                    return

    with listening(serve) as port:
        visited = visit(tmp_path, port, (dicom_answers.CHECK, dicom_query.CHECK, dicom_services.CHECK))
    assert visited.rungs == {"dicom-answers": "E2"}
    assert visited.journal.count('"act":"connect"') == 2
