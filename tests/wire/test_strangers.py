"""Our client and server against the implementations of others."""

import asyncio
from collections.abc import AsyncGenerator, Generator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid
from pynetdicom import AE, build_role, evt  # pyright: ignore[reportUnknownVariableType]
from pynetdicom.dsutils import encode as encode_dataset
from pynetdicom.events import Event

from leadglass.wire.association import Message, Role, ServerAssociation, UserIdentity
from leadglass.wire.client import ClientAssociation, connect, propose
from leadglass.wire.errors import AssociationAborted, AssociationRejected, ConnectionFailed
from leadglass.wire.messages import (
    CEchoRq,
    CFindRq,
    CFindRsp,
    CGetRq,
    CGetRsp,
    CMoveRq,
    CMoveRsp,
    CStoreRq,
    CStoreRsp,
    Suboperations,
)
from tests.peers.dcmtk import Dcmtk, tls_options
from tests.peers.running import Credentials, free_port, is_listening, wait_until
from tests.peers.running import running as program
from tests.wire.harness import (
    CT,
    EXPLICIT,
    IMPLICIT,
    SHORT,
    STUDY_FIND,
    STUDY_GET,
    STUDY_MOVE,
    VERIFICATION,
    Authority,
    Recorder,
    client_context,
    running,
    server_context,
    serving,
    swallow,
)


def slice_(number: int = 1, *, rows: int = 64, patient: str = "WIRE") -> Dataset:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = UID(CT)
    dataset.SOPClassUID = CT
    dataset.SOPInstanceUID = generate_uid()
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.StudyDate = "20260101"
    dataset.StudyTime = "120000"
    dataset.AccessionNumber = ""
    dataset.Modality = "CT"
    dataset.PatientName = "WIRE^TEST"
    dataset.PatientID = patient
    dataset.StudyID = "1"
    dataset.StudyInstanceUID = f"1.2.826.0.1.3680043.10.1.{len(patient)}"
    dataset.SeriesInstanceUID = f"{dataset.StudyInstanceUID}.1"
    dataset.SeriesNumber = 1
    dataset.InstanceNumber = number
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows = dataset.Columns = rows
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit = 15
    dataset.PixelRepresentation = 0
    dataset.PixelData = np.arange(rows * rows, dtype="<u2").tobytes()
    return dataset


def encoded(dataset: Dataset, *, implicit: bool = False) -> bytes:
    raw = encode_dataset(dataset, implicit, True)
    assert raw is not None
    return raw


def written(dataset: Dataset, folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / f"{dataset.SOPInstanceUID}.dcm"
    dataset.save_as(path, enforce_file_format=True)
    return path


class Keeper:
    """Answers C-STORE and keeps what came."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    async def __call__(self, association: ServerAssociation, message: Message) -> None:
        command = message.command
        if isinstance(command, CStoreRq):
            self.kept[command.affected_sop_instance_uid] = await message.read(10_000_000)
            await association.send(message.context.id, command.response(0))
        else:
            await swallow(association, message)


# --- they come to us -------------------------------------------------------------


@pytest.mark.parametrize("secured", [False, True], ids=["plain", "TLS"])
def test_dcmtk_stores_bit_for_bit(dcmtk: Dcmtk, tmp_path: Path, secured: bool) -> None:
    authority = Authority(tmp_path, "hospital")
    device = authority.issue("CT1") if secured else None
    context = server_context(authority.issue("server")) if secured else None
    slices = [slice_(number, rows=rows) for number, rows in enumerate((1, 64, 301, 512))]
    for each in slices:
        written(each, tmp_path / "out")
    keeper = Keeper()
    recorder = Recorder(answer=keeper)
    with serving(recorder, tls=context) as served:
        ran = dcmtk(
            "storescu", "-R", "+sd", *tls_options(device), "127.0.0.1", str(served.port), tmp_path / "out"
        )  # fmt: skip
        assert ran.code == 0, ran.said
        recorder.end()
    assert dict(keeper.kept.items()) == {each.SOPInstanceUID: encoded(each) for each in slices}
    assert recorder.ends == ["released"]


def test_dcmtk_with_the_smallest_pdus_it_knows_is_served(dcmtk: Dcmtk, tmp_path: Path) -> None:
    each = slice_(rows=200)
    path = written(each, tmp_path / "out")
    keeper = Keeper()
    with serving(Recorder(answer=keeper)) as served:
        ran = dcmtk(
            "storescu", "-R", "-pdu", "4096", "--max-send-pdu", "4096", "127.0.0.1", str(served.port), path
        )  # fmt: skip
        assert ran.code == 0, ran.said
    assert keeper.kept == {each.SOPInstanceUID: encoded(each)}


def test_an_abort_of_dcmtk_is_named(dcmtk: Dcmtk) -> None:
    recorder = Recorder()
    with serving(recorder) as served:
        assert dcmtk("echoscu", "--abort", "127.0.0.1", str(served.port)).code == 0
        assert recorder.end() == "aborted by the peer"


async def find(association: ServerAssociation, message: Message) -> None:
    """Answer three matches, or fewer when cancelled."""
    command = message.command
    assert isinstance(command, CFindRq)
    assert await message.read(100_000)
    for number in range(3):
        match = Dataset()
        match.QueryRetrieveLevel = "STUDY"
        match.StudyInstanceUID = f"1.2.{number}"
        await association.send(message.context.id, command.response(0xFF00), encoded(match, implicit=True))
    await association.send(message.context.id, command.response(0))


def test_dcmtk_finds(dcmtk: Dcmtk) -> None:
    recorder = Recorder(answer=find)
    with serving(recorder) as served:
        ran = dcmtk(
            "findscu", "-v", "-S", "-xi", "-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID",
            "127.0.0.1", str(served.port),
        )  # fmt: skip
    assert ran.code == 0, ran.said
    assert ran.said.count("Find Response:") >= 3, ran.said


async def give(association: ServerAssociation, message: Message) -> None:
    """Answer a C-GET with two instances."""
    command = message.command
    assert isinstance(command, CGetRq)
    await message.discard()
    done = 0
    for number in range(2):
        (context,) = association.accepted(CT, "scu")
        dataset = slice_(number, rows=300)
        request = CStoreRq(
            message_id=association.next_message_id(),
            affected_sop_class_uid=CT,
            affected_sop_instance_uid=dataset.SOPInstanceUID,
        )
        answer = await association.call(
            context.id, request, encoded(dataset, implicit=context.transfer_syntax == IMPLICIT)
        )
        assert isinstance(answer.command, CStoreRsp)
        done += answer.command.status == 0
        counts = Suboperations(remaining=1 - number, completed=done, failed=0, warning=0)
        await association.send(message.context.id, command.response(0xFF00, counts))
    await association.send(message.context.id, command.response(0, Suboperations(completed=done, failed=0, warning=0)))


def test_dcmtk_gets_over_sub_operations_on_its_own_association(dcmtk: Dcmtk, tmp_path: Path) -> None:
    recorder = Recorder(answer=give)
    (tmp_path / "got").mkdir()
    with serving(recorder) as served:
        ran = dcmtk(
            "getscu", "-v", "-S", "-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID=1.2",
            "-od", tmp_path / "got", "127.0.0.1", str(served.port),
        )  # fmt: skip
        assert ran.code == 0, ran.said
    assert len(list((tmp_path / "got").iterdir())) == 2
    assert recorder.ends == ["released"]


def test_pynetdicom_negotiates_everything_with_us() -> None:
    recorder = Recorder(answer=give)
    kept: list[Dataset] = []

    def store(event: Event) -> int:
        kept.append(event.dataset)
        return 0

    with serving(recorder) as served:
        ae = AE(ae_title="PYNET")
        ae.add_requested_context(STUDY_GET, IMPLICIT)
        ae.add_requested_context(CT, EXPLICIT)
        from pynetdicom.pdu_primitives import (
            AsynchronousOperationsWindowNegotiation,
            SOPClassExtendedNegotiation,
            UserIdentityNegotiation,
        )

        identity = UserIdentityNegotiation()
        identity.user_identity_type = 2
        identity.primary_field = b"ann"
        identity.secondary_field = b"secret"
        identity.positive_response_requested = True
        window = AsynchronousOperationsWindowNegotiation()
        window.maximum_number_operations_invoked = 5
        window.maximum_number_operations_performed = 5
        extended = SOPClassExtendedNegotiation()
        extended.sop_class_uid = STUDY_GET
        extended.service_class_application_information = b"\x01"
        association = ae.associate(  # pyright: ignore[reportUnknownMemberType]
            "127.0.0.1",
            served.port,
            ae_title="LEADGLASS",
            ext_neg=[build_role(CT, scp_role=True), identity, window, extended],
            evt_handlers=[(evt.EVT_C_STORE, store)],
        )
        assert association.is_established
        query = Dataset()
        query.QueryRetrieveLevel = "STUDY"
        statuses = [status.Status for status, _ in association.send_c_get(query, STUDY_GET)]
        association.release()
    assert statuses == [0xFF00, 0xFF00, 0]
    assert len(kept) == 2
    request = recorder.requested[0][1]
    assert request.called_ae_title == "LEADGLASS"
    assert request.calling_ae_title == "PYNET"
    assert request.roles == {CT: Role(scu=False, scp=True)}
    assert request.async_ops == (5, 5)
    assert request.extended == {STUDY_GET: b"\x01"}
    assert request.user_identity == UserIdentity(2, b"ann", b"secret", positive_response_requested=True)


def test_pynetdicom_cancels_and_is_heard_while_we_answer() -> None:
    async def endless(association: ServerAssociation, message: Message) -> None:
        command = message.command
        assert isinstance(command, CFindRq)
        match = Dataset()
        match.QueryRetrieveLevel = "STUDY"
        while not association.cancelled(command.message_id):
            await association.send(message.context.id, command.response(0xFF00), encoded(match, implicit=True))
            await asyncio.sleep(0.01)
        await association.send(message.context.id, command.response(0xFE00))

    recorder = Recorder(answer=endless)
    with serving(recorder) as served:
        ae = AE()
        ae.add_requested_context(STUDY_FIND, IMPLICIT)
        association = ae.associate("127.0.0.1", served.port)  # pyright: ignore[reportUnknownMemberType]
        query = Dataset()
        query.QueryRetrieveLevel = "STUDY"
        seen: list[int] = []
        for status, _ in association.send_c_find(query, STUDY_FIND, msg_id=77):
            seen.append(status.Status)
            if len(seen) == 3:
                association.send_c_cancel(77, query_model=STUDY_FIND)
        association.release()
    assert seen[-1] == 0xFE00
    assert recorder.ends == ["released"]


# --- we go to them ---------------------------------------------------------------


async def blocks(raw: bytes, size: int) -> AsyncGenerator[bytes, None]:
    for start in range(0, len(raw), size):
        yield raw[start : start + size]


async def store_all(
    port: int, slices: list[Dataset], credentials: Credentials | None = None, *, chunk: int = 0
) -> list[int]:
    statuses: list[int] = []
    tls = client_context(credentials, credentials.authority) if credentials else None
    contexts = propose((CT, [EXPLICIT]), (VERIFICATION, [IMPLICIT]))
    async with connect(
        "127.0.0.1", port, calling="LEADGLASS", called="STORESCP", contexts=contexts, tls=tls
    ) as association:
        (context,) = association.accepted(CT)
        for each in slices:
            request = CStoreRq(
                message_id=association.next_message_id(),
                affected_sop_class_uid=CT,
                affected_sop_instance_uid=each.SOPInstanceUID,
                move_originator_ae_title="WS1",
                move_originator_message_id=5,
            )
            raw = encoded(each)
            answer = await association.call(context.id, request, blocks(raw, chunk) if chunk else raw)
            assert isinstance(answer.command, CStoreRsp)
            statuses.append(answer.command.status)
    assert association.ended == "released"
    return statuses


@pytest.mark.parametrize("chunk", [0, 7, 100_000], ids=["bytes", "tiny blocks", "large blocks"])
@pytest.mark.parametrize("secured", [False, True], ids=["plain", "TLS"])
def test_we_store_at_dcmtk(dcmtk: Dcmtk, tmp_path: Path, secured: bool, chunk: int) -> None:
    credentials = Authority(tmp_path, "hospital").issue("both") if secured else None
    slices = [slice_(1, rows=60), slice_(2, rows=400)]
    with dcmtk.storescp(tmp_path / "in", credentials=credentials) as received:
        assert running(store_all(received.port, slices, credentials, chunk=chunk)) == [0, 0]
        files = received.files()
    assert len(files) == 2
    for each in slices:
        assert any(encoded(each) in path.read_bytes() for path in files)


@contextmanager
def dcmqrscp(dcmtk: Dcmtk, folder: Path, store_port: int) -> Generator[int]:
    """Run DCMTK's archive with our client as its only move destination."""
    port = free_port()
    (folder / "db").mkdir(parents=True)
    config = folder / "dcmqrscp.cfg"
    config.write_text(
        f"""NetworkTCPPort = {port}
MaxPDUSize = 16384
MaxAssociations = 16
HostTable BEGIN
leadglass = (LEADGLASS, 127.0.0.1, {store_port})
HostTable END
VendorTable BEGIN
VendorTable END
AETable BEGIN
QR {folder / "db"} RW (100, 1024mb) ANY
AETable END
"""
    )
    with program([dcmtk.program("dcmqrscp"), "-c", config], log=folder / "dcmqrscp.log"):
        wait_until(lambda: is_listening(port), "dcmqrscp listens")
        yield port


class TakesInstances:
    """A client's session for the C-STORE requests of a C-GET."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    async def message(self, association: ClientAssociation, message: Message) -> None:
        command = message.command
        assert isinstance(command, CStoreRq)
        self.kept[command.affected_sop_instance_uid] = await message.read(10_000_000)
        await association.send(message.context.id, command.response(0))


def test_we_store_find_get_and_move_at_dcmtks_archive(dcmtk: Dcmtk, tmp_path: Path) -> None:
    slices = [slice_(number, rows=100) for number in range(3)]
    keeper, taker = Keeper(), TakesInstances()
    query = Dataset()
    query.QueryRetrieveLevel = "STUDY"
    query.StudyInstanceUID = slices[0].StudyInstanceUID
    identifier = encoded(query, implicit=True)

    async def scene(port: int) -> tuple[list[int], list[int], list[int], list[int]]:
        contexts = propose(
            (CT, [EXPLICIT]), (STUDY_FIND, [IMPLICIT]), (STUDY_MOVE, [IMPLICIT]), (STUDY_GET, [IMPLICIT])
        )
        async with connect(
            "127.0.0.1", port, calling="LEADGLASS", called="QR", contexts=contexts,
            roles={CT: Role(scu=True, scp=True)}, session=taker,
        ) as association:  # fmt: skip
            assert association.accepted(CT, "scp")
            stored: list[int] = []
            for each in slices:
                request = CStoreRq(
                    message_id=association.next_message_id(),
                    affected_sop_class_uid=CT,
                    affected_sop_instance_uid=each.SOPInstanceUID,
                )
                answer = await association.call(association.accepted(CT)[0].id, request, encoded(each))
                assert isinstance(answer.command, CStoreRsp)
                stored.append(answer.command.status)
            found: list[int] = []
            find_request = CFindRq(message_id=association.next_message_id(), affected_sop_class_uid=STUDY_FIND)
            async for message in association.exchange(association.accepted(STUDY_FIND)[0].id, find_request, identifier):
                assert isinstance(message.command, CFindRsp)
                assert (await message.read(10_000) == b"") is (message.command.status == 0)
                found.append(message.command.status)
            got: list[int] = []
            get_request = CGetRq(message_id=association.next_message_id(), affected_sop_class_uid=STUDY_GET)
            async for message in association.exchange(association.accepted(STUDY_GET)[0].id, get_request, identifier):
                assert isinstance(message.command, CGetRsp)
                got.append(message.command.status)
            moved: list[int] = []
            move_request = CMoveRq(
                message_id=association.next_message_id(),
                affected_sop_class_uid=STUDY_MOVE,
                move_destination="LEADGLASS",
            )
            async for message in association.exchange(association.accepted(STUDY_MOVE)[0].id, move_request, identifier):
                assert isinstance(message.command, CMoveRsp)
                moved.append(message.command.status)
        return stored, found, got, moved

    with serving(Recorder(answer=keeper)) as served, dcmqrscp(dcmtk, tmp_path / "qr", served.port) as port:
        stored, found, got, moved = running(scene(port))
    assert stored == [0, 0, 0]
    assert found == [0xFF00, 0]
    assert got[-1] == 0
    assert moved[-1] == 0
    everything = {each.SOPInstanceUID: encoded(each) for each in slices}
    assert taker.kept == everything
    assert keeper.kept == everything


def test_we_talk_to_pynetdicom() -> None:
    def store(_: Event) -> int:
        return 0

    ae = AE(ae_title="PYNET")
    ae.require_called_aet = True
    ae.add_supported_context(CT, EXPLICIT)
    ae.add_supported_context(VERIFICATION)
    server = ae.start_server(  # pyright: ignore[reportUnknownMemberType]
        ("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, store)]
    )
    assert server is not None
    port = server.server_address[1]

    async def scene() -> None:
        with pytest.raises(AssociationRejected) as caught:
            await store_all(port, [])
        assert caught.value.reason == 7
        contexts = propose((CT, [EXPLICIT]), (VERIFICATION, [IMPLICIT]), ("1.2.3", [IMPLICIT]))
        async with connect("127.0.0.1", port, calling="LG", called="PYNET", contexts=contexts) as association:
            assert [context.id for context in association.contexts.values()] == [1, 3]
            echo = CEchoRq(message_id=1, affected_sop_class_uid=VERIFICATION)
            await association.call(3, echo)
            with pytest.raises(ValueError, match="not accepted"):
                await association.call(5, echo)
            request = CStoreRq(message_id=2, affected_sop_class_uid=CT, affected_sop_instance_uid="1.2")
            answer = await association.call(1, request, encoded(slice_()))
            assert isinstance(answer.command, CStoreRsp)
            assert answer.command.status == 0

    try:
        running(scene())
    finally:
        server.shutdown()


# --- our client when things go wrong --------------------------------------------


def test_nobody_at_the_other_end_is_a_connection_that_failed() -> None:
    with pytest.raises(ConnectionFailed, match="No connection"):
        running(store_all(free_port(), []))


def test_a_peer_that_answers_nothing_is_given_up() -> None:
    async def forever(_: ServerAssociation, message: Message) -> None:
        await message.discard()
        await asyncio.sleep(1000)

    async def scene(port: int) -> None:
        contexts = propose((VERIFICATION, [IMPLICIT]))
        async with connect("127.0.0.1", port, calling="A", called="B", contexts=contexts, limits=SHORT) as association:
            await association.call(1, CEchoRq(message_id=1, affected_sop_class_uid=VERIFICATION), timeout=0.2)

    with serving(Recorder(answer=forever), SHORT) as served, pytest.raises(AssociationAborted, match="did not answer"):
        running(scene(served.port))


def test_a_source_that_breaks_half_way_aborts_because_half_a_message_cannot_be_taken_back() -> None:
    async def broken() -> AsyncGenerator[bytes, None]:
        for _ in range(20):
            yield bytes(100_000)
        raise OSError("disk")

    async def scene(port: int) -> None:
        contexts = propose((CT, [EXPLICIT]))
        async with connect("127.0.0.1", port, calling="A", called="B", contexts=contexts) as association:
            request = CStoreRq(message_id=1, affected_sop_class_uid=CT, affected_sop_instance_uid="1.2")
            await association.call(1, request, broken())

    recorder = Recorder()
    with serving(recorder) as served:
        with pytest.raises(OSError, match="disk"):
            running(scene(served.port))
        assert recorder.end() == "aborted by the peer"


def test_a_source_that_breaks_at_once_leaves_the_association_alive() -> None:
    async def broken() -> AsyncGenerator[bytes, None]:
        raise OSError("disk")
        yield b""

    async def scene(port: int) -> None:
        contexts = propose((CT, [EXPLICIT]), (VERIFICATION, [IMPLICIT]))
        async with connect("127.0.0.1", port, calling="A", called="B", contexts=contexts) as association:
            request = CStoreRq(message_id=1, affected_sop_class_uid=CT, affected_sop_instance_uid="1.2")
            with pytest.raises(OSError, match="disk"):
                await association.call(1, request, broken())
            await association.call(3, CEchoRq(message_id=2, affected_sop_class_uid=VERIFICATION))

    recorder = Recorder()
    with serving(recorder) as served:
        running(scene(served.port))
        assert recorder.end() == "released"


def test_whoever_stops_reading_answers_cancels_and_may_go_on() -> None:
    async def many(association: ServerAssociation, message: Message) -> None:
        command = message.command
        if not isinstance(command, CFindRq):
            await swallow(association, message)
            return
        await message.discard()
        while not association.cancelled(command.message_id):
            await association.send(message.context.id, command.response(0xFF00), bytes(10_000))
            await asyncio.sleep(0.005)
        await association.send(message.context.id, command.response(0xFE00))

    async def scene(port: int) -> None:
        contexts = propose((STUDY_FIND, [IMPLICIT]), (VERIFICATION, [IMPLICIT]))
        async with connect("127.0.0.1", port, calling="A", called="B", contexts=contexts) as association:
            request = CFindRq(message_id=1, affected_sop_class_uid=STUDY_FIND)
            answers = association.exchange(1, request, b"")
            seen = 0
            async for _ in answers:
                seen += 1
                if seen == 3:
                    break
            await answers.aclose()
            await association.call(3, CEchoRq(message_id=2, affected_sop_class_uid=VERIFICATION))

    recorder = Recorder(answer=many)
    with serving(recorder) as served:
        running(scene(served.port))
        assert recorder.end() == "released"


def test_a_session_of_ours_that_fails_ends_the_association_with_its_place_and_no_traceback() -> None:
    class Fails:
        async def message(self, association: ClientAssociation, message: Message) -> None:
            raise KeyError("DOE^JANE")

    async def scene(port: int) -> str | None:
        contexts = propose((STUDY_GET, [IMPLICIT]), (CT, [EXPLICIT, IMPLICIT]))
        async with connect(
            "127.0.0.1",
            port,
            calling="A",
            called="B",
            contexts=contexts,
            roles={CT: Role(scu=True, scp=True)},
            session=Fails(),
        ) as association:
            with pytest.raises(AssociationAborted):
                await association.call(1, CGetRq(message_id=1, affected_sop_class_uid=STUDY_GET), b"")
        return association.ended

    recorder = Recorder(answer=give)
    with serving(recorder, SHORT) as served:
        ended = running(scene(served.port))
        assert recorder.end() == "aborted by the peer"
    assert ended is not None
    assert "KeyError at test_strangers.py" in ended
    assert "DOE" not in ended


def test_a_message_that_was_let_go_is_never_read_as_a_short_one() -> None:
    async def answer(association: ServerAssociation, message: Message) -> None:
        command = message.command
        assert isinstance(command, CFindRq)
        await message.discard()
        await association.send(message.context.id, command.response(0), bytes(3_000_000))

    async def scene(port: int) -> None:
        contexts = propose((STUDY_FIND, [IMPLICIT]))
        async with connect("127.0.0.1", port, calling="A", called="B", contexts=contexts) as association:
            first = await association.call(1, CFindRq(message_id=1, affected_sop_class_uid=STUDY_FIND), b"")
            second = await association.call(1, CFindRq(message_id=2, affected_sop_class_uid=STUDY_FIND), b"")
            with pytest.raises(AssociationAborted, match="let go"):
                await first.read(10_000_000)
            assert len(await second.read(10_000_000)) == 3_000_000

    with serving(Recorder(answer=answer)) as served:
        running(scene(served.port))
