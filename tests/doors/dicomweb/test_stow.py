"""STOW-RS of DICOM files: what is stored, what is refused and why, and that nothing stays by halves."""

import gc
import hashlib
import tracemalloc
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from leadglass.archive.backroom import NotAsDeclared, NotInStudy
from leadglass.archive.backroom import Stored as Fate
from leadglass.dicom.json_reader import ModelLimits
from leadglass.dicom.native_xml_reader import read_native
from leadglass.doors.dicomweb.multipart import MultipartLimits
from leadglass.doors.dicomweb.stow_response import REASONS, Failed, FailureReason, Stored, reason_of, response_module
from leadglass.doors.dicomweb.stow_share import MOST_OF_ONE, MOST_REQUESTS, Gathered, Share
from leadglass.errors import Busy, Kind
from leadglass.policy.action import Action
from leadglass.policy.scope import Field, Scope
from leadglass.vault.settings import VaultSettings
from tests.callers import device
from tests.doors.dicomweb.stowhouse import BOUNDARY, StowHouse, file_of, multipart, opened, part10
from tests.peers.dataset import split
from tests.vault.sets import contents, data_set, located, objects

NOT_DICOM = b"this is no DICOM file, however long it is " * 10


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StowHouse]:
    """Open one archive for tests that ask no more of it than that nothing comes in."""
    with opened(tmp_path_factory.mktemp("shared")) as house:
        yield house


def uids_of(house: StowHouse, *studies: str) -> list[str]:
    return [record.sop_instance_uid for record in located(house.vault, *studies)]


def test_what_is_stored_is_what_was_sent_byte_for_byte_and_answered_in_order(stow: StowHouse) -> None:
    files = [file_of(SOPInstanceUID=f"1.2.3.4.1.{n}", InstanceNumber=n) for n in range(5)]
    answer = stow.post(multipart(*files))
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/dicom+json"
    assert answer.stored == [f"1.2.3.4.1.{n}" for n in range(5)]
    assert (answer.failed, answer.others) == ([], [])
    assert contents(stow.vault) == [split(file)[1] for file in files]
    first = answer.items("00081199")[0]
    url = "https://pacs.example/dicom-web/studies/1.2.3.4"
    assert answer.module["00081190"]["Value"] == [url]
    assert first["00081190"]["Value"] == [f"{url}/series/1.2.3.4.1/instances/1.2.3.4.1.0"]
    assert first["00081150"]["Value"] == ["1.2.840.10008.5.1.4.1.1.2"]


def test_the_same_instance_again_is_success_again(stow: StowHouse) -> None:
    body = multipart(file_of(SOPInstanceUID="1.2.9"))
    assert stow.post(body).status == stow.post(body).status == 200
    assert uids_of(stow) == ["1.2.9"]


def test_one_request_may_hold_the_same_instance_twice(stow: StowHouse) -> None:
    file = file_of(SOPInstanceUID="1.2.9")
    answer = stow.post(multipart(file, file))
    assert (answer.status, answer.stored) == (200, ["1.2.9", "1.2.9"])
    assert len(objects(stow.folder)) == 1


def test_another_instance_under_a_stored_uid_fails_and_is_kept_aside(stow: StowHouse) -> None:
    stow.post(multipart(file_of(SOPInstanceUID="1.2.9", PatientName="One")))
    answer = stow.post(multipart(file_of(SOPInstanceUID="1.2.9", PatientName="Two")))
    assert (answer.status, answer.stored, answer.failed) == (409, [], [("1.2.9", 0x0111)])
    kept = stow.archive.quarantined(device("OPERATOR", Action.RESOLVE))
    assert [each.sop_instance_uid for each in kept] == ["1.2.9"]


def test_what_of_a_request_can_be_stored_is_and_the_rest_is_named_in_order(stow: StowHouse) -> None:
    files = [
        file_of(SOPInstanceUID="1.1"),
        NOT_DICOM,
        file_of(SOPInstanceUID="1.2", StudyInstanceUID=None),
        b"",
        file_of(SOPInstanceUID="1.3"),
    ]
    answer = stow.post(multipart(*files))
    assert answer.status == 202
    assert answer.stored == ["1.1", "1.3"]
    assert answer.failed == [("1.2", 0xC000)]
    assert answer.others == [0xC000, 0xC000]
    assert uids_of(stow) == ["1.1", "1.3"]
    assert len(objects(stow.folder)) == 2
    refused = [event for event in stow.events("refused") if event.detail.get("parts") == 2]
    assert len(refused) == 1, "parts that are no instances go on record once for the request"


def test_of_a_request_for_a_study_only_its_instances_are_stored(stow: StowHouse) -> None:
    files = [
        file_of(SOPInstanceUID="1.1"),
        file_of(SOPInstanceUID="1.2", StudyInstanceUID="1.2.3.5", SeriesInstanceUID="1.2.3.5.1"),
    ]
    answer = stow.post(multipart(*files), study="1.2.3.4")
    assert (answer.status, answer.stored, answer.failed) == (202, ["1.1"], [("1.2", 0xA901)])
    assert uids_of(stow, "1.2.3.5") == []
    answer = stow.post(multipart(files[1]), study="1.2.3.4")
    assert (answer.status, answer.failed) == (409, [("1.2", 0xA901)])
    assert answer.module["00081190"] == {"vr": "UR"}


def test_a_single_file_may_be_the_whole_body(stow: StowHouse) -> None:
    answer = stow.post(file_of(SOPInstanceUID="1.1"), content_type="application/dicom")
    assert (answer.status, answer.stored) == (200, ["1.1"])


@pytest.mark.parametrize(
    "content_type",
    [
        f"Multipart/Related;Type=application/dicom;Boundary={BOUNDARY}",
        f'multipart/related; boundary="{BOUNDARY}"; type="application/dicom"; start="<1@x>"',
        f'multipart/related; type="application/dicom; transfer-syntax=1.2.3"; boundary={BOUNDARY}',
        f'multipart/related; type="application/dicom"; transfer-syntax=1.2.840.10008.1.2.1; boundary={BOUNDARY}',
        f"multipart/related; boundary={BOUNDARY}",
    ],
)
def test_forms_of_the_content_type_that_clients_send_are_taken(shared: StowHouse, content_type: str) -> None:
    assert shared.post(multipart(file_of()), content_type=content_type).status == 200


def test_a_file_whose_meta_information_names_another_instance_is_stored_with_a_warning(stow: StowHouse) -> None:
    made = data_set(SOPInstanceUID="1.1")
    file = part10(made).replace(b"1.1\0", b"1.7\0", 1)
    answer = stow.post(multipart(file))
    assert (answer.status, answer.stored) == (202, ["1.1"])
    assert answer.items("00081199")[0]["00081196"]["Value"] == [0xB007]


def test_what_fails_is_named_as_its_data_set_says_once_that_was_read(stow: StowHouse) -> None:
    stow.post(multipart(file_of(SOPInstanceUID="1.1")))
    other = part10(data_set(SOPInstanceUID="1.1", PixelData=bytes(128)))
    said = other.replace(b"1.1\0", b"1.7\0", 1)
    nothing = other.replace(b"1.1\0", b"-\0\0\0", 1)
    for file in (other, said, nothing):
        answer = stow.post(multipart(file))
        assert (answer.status, answer.failed) == (409, [("1.1", 0x0111)])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"SOPClassUID": "1.2.840.10008.1.3.10"}, 0x0122),
        ({"SOPClassUID": "1.2.840.10008.1.1"}, 0x0122),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.2.1.1"}, 0x0122),
        ({"SOPClassUID": "1.3.46.670589.2.5.1.1"}, 0x0122),
    ],
)
def test_classes_that_are_none_of_storage_and_private_ones_that_are_not_listed_are_refused_by_the_standards_reason(
    stow: StowHouse, change: dict[str, str], reason: int
) -> None:
    answer = stow.post(multipart(file_of(SOPInstanceUID="1.1", **change)))
    assert (answer.status, answer.failed) == (409, [("1.1", reason)])


def test_a_transfer_syntax_that_cannot_be_read_is_refused_by_the_standards_reason(stow: StowHouse) -> None:
    file = part10(data_set(SOPInstanceUID="1.1")).replace(b"1.2.840.10008.1.2.1\0", b"1.2.999.10008.1.2.1\0", 1)
    answer = stow.post(multipart(file))
    assert (answer.status, answer.failed) == (409, [("1.1", 0xC122)])


def test_who_may_not_store_is_refused_before_anything_is_kept(stow: StowHouse) -> None:
    def never() -> Iterator[bytes]:
        pytest.fail("the body was read")
        yield b""

    answer = stow.post(never(), caller=device("READER", Action.GET))
    assert answer.status == 403
    assert objects(stow.folder) == []
    assert stow.events("refused")


def test_an_instance_outside_the_callers_scope_fails_alone(stow: StowHouse) -> None:
    scope = Scope.where(Field.STUDY, "1.2.3.4")
    files = [file_of(SOPInstanceUID="1.1"), file_of(SOPInstanceUID="1.2", StudyInstanceUID="1.2.3.5")]
    answer = stow.post(multipart(*files), caller=device("SENDER", Action.STORE, scope=scope))
    assert (answer.status, answer.stored, answer.failed) == (202, ["1.1"], [("1.2", 0x0124)])


def test_a_full_archive_says_that_it_is_out_of_resources(tmp_path: Path) -> None:
    with opened(tmp_path / "full", VaultSettings(min_free_bytes=0, max_instance_bytes=400)) as house:
        answer = house.post(multipart(file_of(SOPInstanceUID="1.1")))
        assert (answer.status, answer.failed) == (409, [("1.1", 0xA700)])
        assert objects(house.folder) == []


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("", "application/dicom+json"),
        ("*/*", "application/dicom+json"),
        ("application/json", "application/json"),
        ("application/dicom+xml;q=1, application/dicom+json;q=0.5", "application/dicom+xml"),
    ],
)
def test_the_answer_is_of_the_media_type_that_is_wanted(stow: StowHouse, accept: str, media_type: str) -> None:
    answer = stow.post(multipart(file_of(SOPInstanceUID="1.1")), accept=accept)
    assert (answer.status, answer.headers["content-type"]) == (200, media_type)
    if media_type == "application/dicom+xml":
        module = read_native(answer.body, ModelLimits()).attributes
        assert module["00081199"].get("Value", [])[0]["00081155"]["Value"] == ["1.1"]


@pytest.mark.parametrize(
    ("headers", "status", "what"),
    [
        ({"accept": "text/html"}, 406, "application/dicom"),
        ({"accept": "a b c"}, 400, "media type"),
        ({"content_type": "text/plain"}, 415, "multipart/related"),
        ({"content_type": "multipart/form-data; boundary=x"}, 415, "multipart/related"),
        ({"content_type": 'multipart/related; type="image/png"; boundary=x'}, 415, "not taken"),
        ({"content_type": ""}, 415, "Content-Type"),
        ({"content_type": 'multipart/related; type="application/dicom"'}, 400, "boundary"),
        ({"content_type": 'multipart/related; type="application/dicom"; boundary=' + "x" * 10_240}, 400, "longer"),
        ({"content_type": "multipart/related; boundary=a; boundary=b"}, 400, "twice"),
        ({"content_encoding": "gzip"}, 415, "Content-Encoding"),
        ({"transfer_encoding": "", "content_length": "0"}, 400, "no body"),
        ({"transfer_encoding": ""}, 411, "Content-Length"),
    ],
)
def test_what_the_header_tells_is_refused_before_the_body_is_read(
    shared: StowHouse, headers: dict[str, str], status: int, what: str
) -> None:
    def never() -> Iterator[bytes]:
        pytest.fail("the body was read")
        yield b""

    answer = shared.post(never(), fields=headers)
    assert answer.status == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert what in answer.detail


@pytest.mark.parametrize("study", ["..", "1..2", "1.2.3'--", "<b>", "1" * 65, "1.2/../3", "%2e%2e", "1.2.3\x00"])
def test_a_study_of_the_url_that_is_no_uid_is_refused_and_not_repeated(shared: StowHouse, study: str) -> None:
    answer = shared.post(multipart(file_of()), study=study)
    assert answer.status == 400
    assert "Study Instance UID" in answer.detail
    assert study not in answer.detail


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (b"", "boundary does not occur"),
        (b"--other\r\n\r\nx\r\n--other--", "boundary does not occur"),
        (multipart(b"x").replace(b"\r\n", b"\n"), "LF alone"),
        (multipart(b"x")[:-4], "cut off"),
        (multipart(), "no parts"),
        (f"--{BOUNDARY}\r\nX: {'x' * (1 << 20)}\r\n\r\n--{BOUNDARY}--".encode(), "longer than"),
    ],
)
def test_a_broken_body_is_refused_with_what_was_wrong_and_nothing_of_it_stays(
    shared: StowHouse, body: bytes, what: str
) -> None:
    before = len(objects(shared.folder))
    answer = shared.post(body)
    assert (answer.status, answer.headers["content-type"]) == (400, "application/problem+json")
    assert what in answer.detail
    assert len(objects(shared.folder)) == before


def test_a_body_that_breaks_off_says_how_much_of_it_is_stored(stow: StowHouse) -> None:
    whole = multipart(*(file_of(SOPInstanceUID=f"1.1.{n}") for n in range(200)))
    answer = stow.post([whole[:-100]])
    assert answer.status == 400
    stored = uids_of(stow)
    assert f"{len(stored):,} instances before it are stored" in answer.detail
    assert "1.1.199" not in stored
    assert len(objects(stow.folder)) == len(stored)
    assert stow.post(whole).status == 200
    assert len(uids_of(stow)) == 200


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(1, 6000))
def test_a_client_that_leaves_in_the_middle_leaves_whole_instances_only(stow: StowHouse, cut: int) -> None:
    body = multipart(*(file_of(SOPInstanceUID=f"1.1.{n}") for n in range(5)))
    stow.post([body[: min(cut, len(body) - 40)]], disconnects=True)
    assert len(objects(stow.folder)) == len(uids_of(stow))
    assert not list(stow.folder.glob("objects/.open/*.tmp"))


@pytest.mark.parametrize("size", [1, 7, 1000, 65_536])
def test_it_does_not_matter_in_which_blocks_a_body_comes(stow: StowHouse, size: int) -> None:
    body = multipart(file_of(SOPInstanceUID="1.1"), file_of(SOPInstanceUID="1.2"))
    answer = stow.post(body[start : start + size] for start in range(0, len(body), size))
    assert (answer.status, answer.stored) == (200, ["1.1", "1.2"])


def test_a_large_instance_is_taken_in_little_memory(stow: StowHouse) -> None:
    pixels = 96 << 20
    made = data_set(SOPInstanceUID="1.1", Rows=6144, Columns=8192, PixelData=b"")
    head = part10(made)[:-12] + b"\xe0\x7f\x10\x00OW\0\0" + pixels.to_bytes(4, "little")
    block = bytes(range(256)) * 256
    digest = hashlib.sha256(split(head)[1])

    def body() -> Iterator[bytes]:
        yield f"--{BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n".encode() + head
        for _ in range(pixels // len(block)):
            digest.update(block)
            yield block
        yield f"\r\n--{BOUNDARY}--\r\n".encode()

    gc.collect()
    tracemalloc.start()
    answer = stow.post(body())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (answer.status, answer.stored) == (200, ["1.1"])
    assert peak < 24 << 20
    assert [record.digest for record in located(stow.vault)] == [digest.digest()]


def test_pixels_that_are_only_declared_cost_nothing(stow: StowHouse) -> None:
    answer = stow.post(multipart(file_of(SOPInstanceUID="1.1", Rows=65535, Columns=65535, NumberOfFrames=100_000)))
    assert (answer.status, answer.stored) == (200, ["1.1"])


def test_many_empty_parts_cost_little_and_more_than_are_taken_are_refused(stow: StowHouse) -> None:
    stow.limits = MultipartLimits(parts=5000)
    answer = stow.post(multipart(*[b""] * 5000))
    assert (answer.status, len(answer.others)) == (409, 5000)
    assert len(stow.events("refused")) == 1
    answer = stow.post(multipart(*[b""] * 5001))
    assert answer.status == 413
    assert "5,000 parts" in answer.detail


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "image/jpeg"},
        {"Content-Type": "application/dicom", "Content-Transfer-Encoding": "base64"},
        {"Content-Type": "application/dicom", "Content-Encoding": "gzip"},
    ],
)
def test_a_part_that_is_not_what_the_request_says_fails_alone(stow: StowHouse, headers: dict[str, str]) -> None:
    answer = stow.post(multipart((headers, file_of()), file_of(SOPInstanceUID="1.2")))
    assert (answer.status, answer.stored, answer.others) == (202, ["1.2"], [0xC000])


def test_hundreds_of_small_instances_share_their_commits(stow: StowHouse) -> None:
    before = stow.vault.batches.transactions
    answer = stow.post(multipart(*(file_of(SOPInstanceUID=f"1.1.{n}") for n in range(250))))
    assert (answer.status, len(answer.stored)) == (200, 250)
    assert stow.vault.batches.transactions - before <= 20


def test_no_more_requests_store_at_one_time_than_there_is_memory_for() -> None:
    share = Share()
    alone = share.held
    with ExitStack() as running:
        for _ in range(MOST_OF_ONE):
            running.enter_context(share.request("greedy"))
        with pytest.raises(Busy), share.request("greedy"):
            pytest.fail("one caller had more than its part")
        for number in range(MOST_REQUESTS - MOST_OF_ONE):
            running.enter_context(share.request(str(number)))
        assert share.held < alone
        with pytest.raises(Busy), share.request("one more"):
            pytest.fail("there were more than there may be")
    assert share.held == alone
    with share.request("greedy"):
        share.keep_text(100 << 20)
        with pytest.raises(Busy):
            share.keep_text(100 << 20)


def test_single_bytes_are_gathered_without_an_object_for_each() -> None:
    gathered = Gathered()
    for _ in range(200_000):
        gathered.add(b"x")
    gathered.add(b"y" * 5000)
    gathered.add(b"z")
    assert gathered.size == 205_001
    blocks = gathered.take()
    assert len(blocks) < 10
    assert b"".join(blocks) == b"x" * 200_000 + b"y" * 5000 + b"z"
    assert (gathered.size, gathered.take()) == (0, [])


def test_every_kind_of_error_has_its_reason() -> None:
    assert set(REASONS) == set(Kind)
    assert reason_of(NotInStudy("x")) is FailureReason.NOT_IN_STUDY
    assert reason_of(NotAsDeclared("x")) is FailureReason.DOES_NOT_MATCH_SOP_CLASS
    assert {Fate.STORED, Fate.ALREADY_HERE, Fate.HEALED, Fate.KEPT_ASIDE} == set(Fate), "each is success to who sent it"


def test_what_fails_without_identity_is_among_the_other_failures() -> None:
    outcomes = [
        Stored("1", "2", "3", "4"),
        Failed(FailureReason.CANNOT_UNDERSTAND),
        Failed(FailureReason.CANNOT_UNDERSTAND, "5"),
        Failed(FailureReason.OUT_OF_RESOURCES, "5", "6"),
    ]
    module = response_module(outcomes, "https://x/dicom-web")
    assert [len(module[tag].get("Value", [])) for tag in ("00081199", "00081198", "0008119A")] == [1, 1, 2]
