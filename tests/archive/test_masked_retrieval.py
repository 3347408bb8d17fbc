"""What a caller is given whose view masks attributes: over a real vault, instance by instance."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from leadglass.archive.archive import Archive
from leadglass.archive.backroom import Declared, InstanceRecord, Reader, Selection
from leadglass.archive.retrieving import Retrieval
from leadglass.archive.withholding import why_withheld
from leadglass.audit.event import Outcome
from leadglass.audit.log import AuditLog
from leadglass.crypto.wrap import ArchiveKey
from leadglass.dicom import sop_classes, tags
from leadglass.dicom.matching import Level
from leadglass.dicom.model import Attributes, JsonElement
from leadglass.errors import Busy, NotHere, Unsupported
from leadglass.policy.action import Action
from leadglass.policy.caller import Caller, Grant
from leadglass.policy.masking import without_identity
from leadglass.policy.permit import decide
from leadglass.policy.scope import Field, Scope
from leadglass.policy.view import View
from leadglass.vault.vault import Vault, open_vault
from tests.callers import device, everything, permit
from tests.dicom.sets import as_pydicom
from tests.vault.sets import CT, EXPLICIT, PIXELS, data_set, encoded

STORAGE = "1.2.840.10008.5.1.4.1.1."
US = STORAGE + "6.1"
SR = STORAGE + "88.11"
PDF = STORAGE + "104.1"
DX = STORAGE + "1.1"


@dataclass(frozen=True, slots=True)
class House:
    archive: Archive
    audit: AuditLog
    room: Vault

    def store(self, made: Dataset) -> bytes:
        """Store an instance; gives it as stored."""
        body = encoded(made)
        receiving = self.archive.receive(everything(), Declared(EXPLICIT))
        receiving.write(body)
        receiving.finish()
        return body

    def label(self, *, is_given: bool) -> None:
        """Give the study its label "open", or take it away."""
        self.room.label(permit(Action.MANAGE), "1.2.3.4", "open", is_given=is_given)

    def retrieve(self, caller: Caller, *, is_whole: bool = True) -> Retrieval:
        return self.archive.retrieve(
            caller, Action.GET, Level.STUDY, Selection(study_uids=("1.2.3.4",)), is_whole=is_whole
        )


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with (
        AuditLog(tmp_path / "audit.db", b"k" * 32, b"s" * 32) as audit,
        open_vault(tmp_path, ArchiveKey(b"a" * 32)) as vault,
    ):
        yield House(Archive(vault, audit, door="test"), audit, vault)


RESEARCHER = device("RESEARCH", Action.GET, Action.FIND, view=without_identity())


def content(reader: Reader) -> bytes:
    with reader:
        data = reader.read_at(0, reader.size)
        assert len(data) == reader.size
        assert reader.read_at(reader.size, 10) == b""
    return data


def only(retrieval: Retrieval) -> InstanceRecord:
    (record,) = retrieval.records
    return record


def test_an_instance_leaves_without_who_it_is_of_and_with_its_image(house: House) -> None:
    stored = house.store(data_set())
    retrieval = house.retrieve(RESEARCHER)
    record = only(retrieval)
    data = content(retrieval.open(record))
    assert not retrieval.is_as_stored(record)
    assert record.size == len(stored) != len(data)
    read = as_pydicom(data, EXPLICIT)
    assert read.PatientName == ""
    assert read.PatientID == ""
    assert (read.PatientSex, read.StudyDate, read.StudyInstanceUID) == ("F", "20260102", "1.2.3.4")
    assert read.PixelData == PIXELS
    assert not any(each in data for each in (b"Doe", b"4711", b"19700101"))


def test_who_sees_all_is_given_what_was_stored(house: House) -> None:
    stored = house.store(data_set())
    retrieval = house.retrieve(device("WS1", Action.GET))
    assert retrieval.is_as_stored(only(retrieval))
    assert content(retrieval.open(only(retrieval))) == stored
    assert retrieval.withheld(only(retrieval)) == ""


def test_frames_are_the_same_bytes_at_the_same_place_and_nothing_else_can_be_read(house: House) -> None:
    stored = house.store(data_set())
    retrieval = house.retrieve(RESEARCHER, is_whole=False)
    record = only(retrieval)
    table = retrieval.frames(record)
    assert table is not None
    ((offset, length),) = table.parts(0)
    data = content(retrieval.open(record))
    assert len(data) == len(stored)
    assert data[offset : offset + length] == PIXELS
    assert not (data[:offset] + data[offset + length :]).strip(b"\0")


def test_what_leaves_masked_has_no_fingerprint_by_which_a_name_could_be_tried(house: House) -> None:
    house.store(data_set())
    masked, full = house.retrieve(RESEARCHER), house.retrieve(device("WS1", Action.GET))
    others = Archive(house.room, house.audit, door="test").retrieve(
        RESEARCHER, Action.GET, Level.STUDY, Selection(study_uids=("1.2.3.4",))
    )
    assert masked.fingerprint() == house.retrieve(RESEARCHER).fingerprint()  # or nobody would be spared anything
    assert masked.fingerprint() != full.fingerprint()
    assert masked.fingerprint() != others.fingerprint()  # whoever knew how it is made could make it of a guess


def test_metadata_is_masked_and_has_nothing_private(house: House) -> None:
    made = data_set()
    made.private_block(0x0009, "ACME", create=True).add_new(1, "LO", "Doe^Jane")
    house.store(made)
    retrieval = house.retrieve(RESEARCHER)
    (text,) = retrieval.json_texts(retrieval.records)
    metadata = retrieval.metadata(only(retrieval))
    assert text.attributes() == metadata
    assert metadata[tags.key(tags.PatientName)] == {"vr": "PN"}
    assert "Doe" not in str(metadata)
    read = as_pydicom(content(retrieval.open(only(retrieval))), EXPLICIT)
    assert metadata.keys() == {f"{int(tag):08X}" for tag in read.keys()}  # noqa: SIM118 - elements, not tags, without


@pytest.mark.parametrize(
    "made",
    [
        data_set(SOPClassUID=US, Modality="US"),
        data_set(SOPClassUID=SR, Modality="SR", PixelData=None, ContentSequence=Sequence([Dataset()])),
        data_set(SOPClassUID=PDF, Modality="DOC", PixelData=None, EncapsulatedDocument=b"%PDF Doe^Jane "),
        data_set(BurnedInAnnotation="YES"),
        data_set(SOPClassUID=DX, Modality="DX"),
    ],
    ids=["ultrasound", "report", "document", "text burned in", "projection without a word on it"],
)
@pytest.mark.parametrize("is_whole", [True, False], ids=["whole", "frames"])
def test_what_no_mask_reaches_is_withheld_and_on_record(house: House, made: Dataset, is_whole: bool) -> None:
    house.store(made)
    retrieval = house.retrieve(RESEARCHER, is_whole=is_whole)
    record = only(retrieval)
    why = retrieval.withheld(record)
    assert why.startswith("Not given where attributes are masked: ")
    for _ in range(2):
        with pytest.raises(Unsupported, match="Not given"):
            retrieval.open(record)
    refused = [each.event for each in house.audit.records() if each.event.outcome is Outcome.REFUSED]
    assert [(event.study_uid, event.reason) for event in refused] == [("1.2.3.4", why)]
    assert "Doe" not in str(retrieval.metadata(record))


def test_what_is_withheld_takes_nothing_else_with_it(house: House) -> None:
    house.store(data_set())
    house.store(data_set(SOPClassUID=US, Modality="US"))
    retrieval = house.retrieve(RESEARCHER)
    assert sorted(bool(retrieval.withheld(record)) for record in retrieval.records) == [False, True]


# --- the judgement ------------------------------------------------------------


def described(**values: str | int | list[str]) -> Attributes:
    given: Attributes = {}
    for keyword, value in values.items():
        listed: list[str | int] = [*value] if isinstance(value, list) else [value]
        given[tags.key(getattr(tags, keyword))] = JsonElement(vr="CS", Value=listed)
    return given


def test_only_classes_of_the_table_are_given() -> None:
    given = {
        uid for uid in sop_classes.storage() if not why_withheld(uid, EXPLICIT, described(BurnedInAnnotation="NO"))
    }
    assert CT in given
    assert 30 < len(given) < len(sop_classes.storage()) / 2
    names = {sop_classes.name_of(uid) for uid in given}
    for word in (
        "SR ",
        "Report",
        "Document",
        "Encapsulated",
        "Capture",
        "Ultrasound",
        "Photographic",
        "Presentation State",
    ):
        assert not [name for name in names if word in name]
    assert why_withheld("1.2.3", EXPLICIT, {})


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"BurnedInAnnotation": "yes "}, "text burned in"),
        ({"BurnedInAnnotation": "PERHAPS"}, "text burned in"),
        ({"RecognizableVisualFeatures": "YES"}, "recognised"),
        ({"Modality": "OT"}, "its modality is OT"),
        ({"ConversionType": "WSD"}, "captured"),
        ({"ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"]}, "captured screen"),
        ({"SamplesPerPixel": 3}, "in color"),
    ],
)
def test_a_tomogram_that_shows_a_sign_of_text_is_withheld(said: dict[str, str | int | list[str]], why: str) -> None:
    assert why_withheld(CT, EXPLICIT, {}) == ""
    assert why in why_withheld(CT, EXPLICIT, described(**said))


def test_an_overlay_in_the_bits_of_the_pixels_is_a_sign_of_text() -> None:
    assert "overlay" in why_withheld(CT, EXPLICIT, {"60000102": JsonElement(vr="US", Value=[12])})
    assert why_withheld(CT, EXPLICIT, {"60000102": JsonElement(vr="US", Value=[0])}) == ""


def test_what_lies_elsewhere_or_is_private_is_withheld() -> None:
    assert "address" in why_withheld(CT, "1.2.840.10008.1.2.4.94", {})
    assert "private" in why_withheld(CT, "1.2.3.4.5", {})


def test_a_projection_is_given_when_its_device_says_that_there_is_no_text() -> None:
    assert why_withheld(DX, EXPLICIT, described(BurnedInAnnotation="NO")) == ""
    assert "did not say" in why_withheld(DX, EXPLICIT, {})


# --- a view that changes under way --------------------------------------------

SHOWS: dict[str, Callable[[Retrieval, InstanceRecord], object]] = {
    "open": lambda retrieval, record: retrieval.open(record).close(),
    "metadata": lambda retrieval, record: retrieval.metadata(record),
    "JSON texts": lambda retrieval, record: retrieval.json_texts((record,)),
}


def in_full_where(scope: Scope) -> Caller:
    """Give who sees some studies in full, and all others masked."""
    grants = [
        Grant(frozenset({Action.GET}), *what, reason="test")
        for what in ((scope, View.full()), (Scope.everything(), without_identity()))
    ]
    return replace(device("RESEARCH"), grants=tuple(grants))


def series(house: House, count: int = 3) -> None:
    for number in range(1, count + 1):
        house.store(data_set(SOPInstanceUID=f"1.2.3.4.1.{number}", InstanceNumber=number))


@pytest.fixture(params=["not remembered", "remembered"])
def is_remembered(request: pytest.FixtureRequest) -> bool:
    return request.param == "remembered"


def remember(house: House, caller: Caller) -> None:
    """Ask so often for one instance that its series is remembered for who asks."""
    which = Selection((), ("1.2.3.4",), ("1.2.3.4.1",), ("1.2.3.4.1.1",))
    for _ in range(3):
        house.archive.retrieve(caller, Action.GET, Level.IMAGE, which)
    assert house.room.at_hand(decide(caller, Action.GET), which) is not None


@pytest.mark.parametrize("show", SHOWS.values(), ids=SHOWS)
def test_nothing_leaves_unmasked_any_more_when_the_label_is_gone_that_showed_it_in_full(
    house: House, show: Callable[[Retrieval, InstanceRecord], object], *, is_remembered: bool
) -> None:
    series(house)
    house.label(is_given=True)
    caller = in_full_where(Scope.where(Field.LABEL, "open"))
    retrieval = house.retrieve(caller)
    first, second, _ = retrieval.records
    show(retrieval, first)
    house.label(is_given=False)
    if is_remembered:
        remember(house, caller)
    with pytest.raises(Busy):
        show(retrieval, second)
    anew = house.retrieve(caller)
    assert b"Doe" not in content(anew.open(anew.records[1]))


def test_a_label_that_shows_it_in_full_changes_nothing_for_who_is_being_given_it_masked(
    house: House, *, is_remembered: bool
) -> None:
    series(house)
    caller = in_full_where(Scope.where(Field.LABEL, "open"))
    retrieval = house.retrieve(caller)
    house.label(is_given=True)
    if is_remembered:
        remember(house, caller)
    for record in retrieval.records:
        assert b"Doe" not in content(retrieval.open(record))
        assert not retrieval.is_as_stored(record)
        assert retrieval.metadata(record)[tags.key(tags.PatientName)].get("Value", []) == []


def test_a_study_that_is_still_coming_in_from_somewhere_else_is_given_on(house: House, *, is_remembered: bool) -> None:
    series(house)
    caller = in_full_where(Scope.where(Field.PATIENT, "4711"))
    retrieval = house.retrieve(caller)
    receiving = house.archive.receive(everything(), Declared(EXPLICIT, origin="CT2"))
    receiving.write(encoded(data_set(SOPInstanceUID="1.2.3.4.1.4", InstanceNumber=4)))
    receiving.finish()
    if is_remembered:
        remember(house, caller)
    for record in retrieval.records:
        assert b"Doe" in content(retrieval.open(record))


@pytest.mark.parametrize("show", SHOWS.values(), ids=SHOWS)
def test_what_is_stored_anew_under_the_same_uids_is_not_given_in_the_view_of_what_was_deleted(
    house: House, show: Callable[[Retrieval, InstanceRecord], object], *, is_remembered: bool
) -> None:
    uid = "1.2.3.4.1.1"
    house.store(data_set(SOPInstanceUID=uid))
    caller = in_full_where(Scope.where(Field.PATIENT, "4711"))
    retrieval = house.retrieve(caller)
    house.archive.delete(everything(), "1.2.3.4")
    house.store(data_set(SOPInstanceUID=uid, PatientID="0815", PatientName="Other^One"))
    if is_remembered:
        remember(house, caller)
    with pytest.raises(NotHere):
        show(retrieval, only(retrieval))
