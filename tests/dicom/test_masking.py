"""What leaves under a mask: read by a stranger, searched for what must not be in it, compared with what was stored."""

import os
import re
import warnings
import zlib
from collections.abc import Iterator
from random import Random
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from leadglass.dicom import dictionary, tags, uids
from leadglass.dicom.ingest import describe
from leadglass.dicom.limits import Limits
from leadglass.dicom.masking import is_dropped, mask, open_blanked, open_masked
from leadglass.dicom.model import Attributes, bulk_location
from leadglass.dicom.recode import RawDataSet
from leadglass.dicom.source import Bytes, ReadAt
from leadglass.errors import BadInput, Unsupported
from leadglass.policy.masking import IDENTIFYING, without_identity
from tests.corpus import CorpusFile
from tests.dicom.sets import LIMITS, SEQUENCE_END, UNDEFINED, Stored, as_pydicom, element, implicit, item, stored

RESEARCHER = frozenset(tags.key(tag) for tag in without_identity().masked)
NAMELESS = frozenset({tags.key(tags.PatientName)})
_SHORTEST = 6
"""Bytes of a value that is searched for: shorter ones are anywhere by chance."""


def read_all(source: ReadAt, block: int = 1 << 16) -> bytes:
    parts: list[bytes] = []
    offset = 0
    while part := source.read_at(offset, block):
        parts.append(part)
        offset += len(part)
    assert offset == source.size
    return b"".join(parts)


def masked(body: bytes, syntax: str, names: frozenset[str], limits: Limits = LIMITS) -> bytes:
    return read_all(open_masked(Bytes(body), syntax, names, limits))


def inflated(body: bytes, syntax: str) -> bytes:
    return zlib.decompressobj(-15).decompress(body) if syntax in uids.DEFLATED else body


def hidden_and_seen(data_set: RawDataSet, names: frozenset[str]) -> tuple[set[bytes], list[bytes]]:
    """Give the values that must not leave, and those that do."""
    hidden: set[bytes] = set()
    seen: list[bytes] = []

    def walk(attributes: Attributes, *, is_hidden: bool) -> None:
        for name, each in attributes.items():
            hides = is_hidden or name in names or is_dropped(name)
            if each["vr"] == "SQ":
                for inner in data_set.items(each):
                    walk(inner, is_hidden=hides)
                continue
            value = data_set.value(each)
            if not hides:
                seen.append(value)
            elif len(value.strip(b" \0")) >= _SHORTEST:
                hidden.add(value.strip(b" \0"))

    walk(data_set.reading.attributes, is_hidden=False)
    return hidden, seen


def check_nothing_is_left(body: bytes, syntax: str, names: frozenset[str], leaving: bytes) -> int:
    """Search what leaves for every value that must not; one that stands in an unmasked value too is no find."""
    hidden, seen = hidden_and_seen(RawDataSet(Bytes(body), syntax, LIMITS), names)
    for value in hidden:
        if value in leaving:
            assert any(value in other for other in seen)
    return len(hidden)


def check_the_rest_is_the_same(original: Dataset, seen: Dataset, names: frozenset[str]) -> None:
    """Compare, with pydicom's eyes."""
    left = [
        tag
        for tag in sorted(original.keys())
        if not is_dropped(f"{int(tag):08X}") and not tags.is_group_length(int(tag)) and tag.group != tags.ITEM_GROUP
    ]
    assert sorted(seen.keys()) == left
    for tag in left:
        name = f"{int(tag):08X}"
        if name in names:
            assert not seen[tag].value, name
            continue
        mine, theirs = original[tag], seen[tag]
        if mine.VR == "SQ":
            mine_items, their_items = cast("list[Dataset]", mine.value), cast("list[Dataset]", theirs.value)
            assert len(mine_items) == len(their_items), name
            for one, other in zip(mine_items, their_items, strict=True):
                check_the_rest_is_the_same(one, other, names)
        else:
            assert _same(mine.value, theirs.value), name


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, bytes) and isinstance(b, bytes):
        return a == b or a + b"\0" == b
    return bool(a == b) or repr(a) == repr(b)


def good_files(manifest: tuple[CorpusFile, ...]) -> Iterator[Stored]:
    """Give every file that the archive would take in."""
    for row in manifest:
        if row.is_malformed or row.is_directory:
            continue
        try:
            file = stored(row)
            describe(file.source, file.syntax, LIMITS)
        except BadInput:
            continue
        yield file


def test_nothing_masked_is_left_in_any_file_of_the_corpus_and_the_rest_is_the_same(
    manifest: tuple[CorpusFile, ...],
) -> None:
    files = values = 0
    syntaxes: set[str] = set()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for file in good_files(manifest):
            leaving = masked(file.body, file.syntax, RESEARCHER)
            values += check_nothing_is_left(file.body, file.syntax, RESEARCHER, inflated(leaving, file.syntax))
            files += 1
            if files % 4 == 0 or file.syntax not in syntaxes or os.environ.get("LEADGLASS_LONG"):
                check_the_rest_is_the_same(
                    as_pydicom(file.body, file.syntax), as_pydicom(leaving, file.syntax), RESEARCHER
                )
            syntaxes.add(file.syntax)
    assert files > 400
    assert values > 5_000
    assert {uids.EXPLICIT_VR_BIG_ENDIAN, uids.DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN, uids.RLE_LOSSLESS} < syntaxes


def every_name(attributes: Attributes) -> set[str]:
    """Give the names of every element, in sequences too."""
    names = set(attributes)
    for each in attributes.values():
        if each["vr"] == "SQ":
            for inner in cast("list[Attributes]", each.get("Value", [])):
                names |= every_name(inner)
    return names


STRUCTURE = {
    tags.key(tag)
    for tag in (
        tags.SpecificCharacterSet,
        tags.SOPClassUID,
        tags.SOPInstanceUID,
        tags.StudyInstanceUID,
        tags.SeriesInstanceUID,
        tags.SamplesPerPixel,
        tags.PhotometricInterpretation,
        tags.PlanarConfiguration,
        tags.NumberOfFrames,
        tags.Rows,
        tags.Columns,
        tags.BitsAllocated,
        tags.BitsStored,
        tags.HighBit,
        tags.PixelRepresentation,
        tags.FloatPixelData,
        tags.DoubleFloatPixelData,
        tags.PixelData,
    )
}


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(number=st.integers(0, 10_000), chance=st.randoms(use_true_random=False), share=st.floats(0, 1))
def test_whatever_is_masked_in_whatever_file_is_gone(
    manifest: tuple[CorpusFile, ...], number: int, chance: Random, share: float
) -> None:
    rows = [row for row in manifest if not row.is_malformed and not row.is_directory]
    row = rows[number % len(rows)]
    try:
        file = stored(row)
        attributes = describe(file.source, file.syntax, LIMITS).attributes
    except BadInput:
        return
    chooses = Random(chance.getrandbits(64))
    names = frozenset(name for name in sorted(every_name(attributes) - STRUCTURE) if chooses.random() < share)
    leaving = masked(file.body, file.syntax, names)
    check_nothing_is_left(file.body, file.syntax, names, inflated(leaving, file.syntax))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check_the_rest_is_the_same(as_pydicom(file.body, file.syntax), as_pydicom(leaving, file.syntax), names)
    again = describe(Bytes(leaving), file.syntax, LIMITS)
    assert again.sop_instance_uid
    assert every_name(again.attributes) <= every_name(attributes)


@pytest.mark.parametrize("name", sorted(STRUCTURE))
def test_what_an_instance_is_not_one_without_is_never_masked(name: str) -> None:
    with pytest.raises(Unsupported, match="cannot leave without"):
        masked(element(tags.PatientName, "PN", b"Doe^Jane"), uids.EXPLICIT_VR_LITTLE_ENDIAN, frozenset({name}))


# --- corners ------------------------------------------------------------------

PRIVATE = 0x00091001
OF_LATER = 0x00189FFE
"""A public tag that no dictionary of today knows."""
NAME = element(tags.PatientName, "PN", b"Doe^Jane")


def explicit(*elements: bytes, names: frozenset[str] = NAMELESS) -> bytes:
    return masked(b"".join(elements), uids.EXPLICIT_VR_LITTLE_ENDIAN, names)


def test_a_name_is_masked_in_sequences_however_deep_and_however_their_length_is_told() -> None:
    inner = element(tags.ReferencedPatientSequence, "SQ", item(NAME))
    outer = element(tags.ReferencedStudySequence, "SQ", item(inner, is_undefined=True) + SEQUENCE_END, length=UNDEFINED)
    leaving = explicit(outer)
    assert b"Doe" not in leaving
    empty = element(tags.PatientName, "PN", b"")
    assert leaving == element(
        tags.ReferencedStudySequence, "SQ", item(element(tags.ReferencedPatientSequence, "SQ", item(empty)))
    )


def test_private_elements_later_ones_and_group_lengths_do_not_leave() -> None:
    creator = element(PRIVATE & 0xFFFF0000 | 0x10, "LO", b"ACME")
    private = element(PRIVATE, "SQ", item(NAME))
    later = element(OF_LATER, "PN", b"Doe^Jane")
    length = element(0x00100000, "UL", b"\x10\0\0\0")
    kept = element(tags.PatientSex, "CS", b"F ")
    assert explicit(creator, private, length, NAME, kept, later) == element(tags.PatientName, "PN", b"") + kept


def test_copies_of_what_attributes_once_held_do_not_leave() -> None:
    original = element(tags.OriginalAttributesSequence, "SQ", item(NAME))
    icon = element(tags.IconImageSequence, "SQ", item(element(tags.Rows, "US", b"\x10\0")))
    padding = element(tags.DataSetTrailingPadding, "OB", b"Doe^Jane")
    overlay = element(0x60003000, "OW", b"Doe^Jane")
    curve = element(0x50003000, "OW", b"Doe^Jane")
    assert explicit(original, curve, overlay, icon, padding) == b""


@pytest.mark.parametrize("tag", [0x00203100, 0x7F000010, 0x10100001, 0x00280412])
def test_elements_of_retired_repeating_groups_do_not_leave(tag: int) -> None:
    assert explicit(element(tag, "OW", b"Doe^Jane")) == b""


def test_a_sequence_written_as_unknown_is_looked_into() -> None:
    inside = implicit(tags.PatientName, b"Doe^Jane") + implicit(tags.PatientSex, b"F ")
    unknown = element(tags.ReferencedPatientSequence, "UN", item(inside))
    leaving = explicit(unknown)
    assert b"Doe" not in leaving
    kept = element(tags.PatientName, "PN", b"") + element(tags.PatientSex, "CS", b"F ")
    assert leaving == element(tags.ReferencedPatientSequence, "SQ", item(kept))


def test_a_sequence_written_as_unknown_that_cannot_be_looked_into_is_emptied() -> None:
    unknown = element(tags.ReferencedPatientSequence, "UN", b"Doe^Jane Doe^Jane ")
    assert explicit(unknown) == element(tags.ReferencedPatientSequence, "SQ", b"")


def test_a_name_written_as_unknown_is_masked() -> None:
    assert b"Doe" not in explicit(element(tags.PatientName, "UN", b"Doe^Jane"))


def test_encapsulated_bytes_inside_of_an_unknown_sequence_are_not_read_from_elsewhere() -> None:
    fragments = item(b"") + item(b"Doe^Jane") + SEQUENCE_END
    inside = implicit(tags.PixelData, fragments, length=UNDEFINED)
    unknown = element(tags.ReferencedPatientSequence, "UN", item(inside))
    emptied = element(tags.ReferencedPatientSequence, "SQ", b"")
    assert explicit(NAME, unknown) == emptied + element(tags.PatientName, "PN", b"")


def test_a_long_value_is_masked_and_a_long_value_beside_it_is_copied() -> None:
    comments = element(tags.PatientComments, "LT", b"Doe^Jane" * 5)
    history = element(tags.StudyComments, "UT", b"x" * 200_000)
    pixels = element(tags.PixelData, "OW", bytes(range(256)) * 4096)
    leaving = explicit(comments, history, pixels, names=frozenset({tags.key(tags.PatientComments)}))
    assert leaving == element(tags.PatientComments, "LT", b"") + history + pixels


def test_a_large_object_is_masked_without_being_held_in_memory() -> None:
    class Large:
        """A gigabyte of pixels behind a header; nobody may read more of it than was asked for."""

        head = NAME + element(tags.PixelData, "OW", b"", length=1 << 30)
        size = len(head) + (1 << 30)
        most = 0

        def read_at(self, offset: int, length: int) -> bytes:
            self.most = max(self.most, length)
            length = min(length, self.size - offset)
            front = self.head[offset : offset + length]
            return front + bytes(length - len(front))

    source = Large()
    seen = open_masked(source, uids.EXPLICIT_VR_LITTLE_ENDIAN, NAMELESS, LIMITS)
    assert seen.size == source.size - len(b"Doe^Jane")
    assert seen.read_at(0, 16)[8:10] == element(tags.PixelData, "OW", b"")[:2]
    assert seen.read_at(seen.size - 4, 100) == bytes(4)
    assert source.most <= 1 << 16


@given(block=st.integers(1, 5_000), kept=st.sampled_from([0, 1 << 24]), seed=st.binary(min_size=1, max_size=64))
def test_a_deflated_object_is_read_in_any_pieces_whether_it_is_kept_or_made_again(
    block: int, kept: int, seed: bytes
) -> None:
    elements = NAME + element(tags.PixelData, "OW", (seed * 3_000)[: len(seed) * 3_000 // 2 * 2])
    deflater = zlib.compressobj(wbits=-15)
    body = deflater.compress(elements) + deflater.flush()
    limits = Limits(inflation_free=kept, inflation_ratio=100_000)
    syntax = uids.DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN
    source = open_masked(Bytes(body), syntax, NAMELESS, limits)
    whole = read_all(source, block)
    assert len(whole) % 2 == 0
    assert inflated(whole, syntax) == elements.replace(NAME, element(tags.PatientName, "PN", b""))
    assert source.read_at(len(whole) // 2, 10) == whole[len(whole) // 2 :][:10]
    assert source.read_at(0, 5) == whole[:5]


# --- what frames and bulk data are read from ----------------------------------


def test_of_a_blanked_object_only_the_named_places_can_be_read_at_their_own_offsets(
    manifest: tuple[CorpusFile, ...],
) -> None:
    seen = 0
    for syntax in (uids.EXPLICIT_VR_LITTLE_ENDIAN, uids.DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN, uids.RLE_LOSSLESS):
        file = next(
            file
            for file in good_files(tuple(row for row in manifest if row.transfer_syntax_uid == syntax))
            if "PixelData" in as_pydicom(file.body, file.syntax)
        )
        attributes = describe(file.source, file.syntax, LIMITS).attributes
        place = bulk_location(attributes[tags.key(tags.PixelData)].get("BulkDataURI", ""))
        assert place is not None
        blanked = inflated(read_all(open_blanked(file.source, syntax, [place], LIMITS)), syntax)
        elements = inflated(file.body, syntax)
        start, length = place
        assert blanked[start : start + length] == elements[start : start + length]
        assert not blanked[:start].strip(b"\0")
        assert not blanked[start + length :].strip(b"\0")
        seen += 1
    assert seen == 3


def test_places_that_overlap_or_lie_outside_are_not_given() -> None:
    blanked = open_blanked(Bytes(b"abcdefghij"), uids.EXPLICIT_VR_LITTLE_ENDIAN, [(2, 3), (4, 2), (8, 9)], LIMITS)
    assert read_all(blanked, 3) == b"\0\0cde\0\0\0\0\0"


# --- the table ----------------------------------------------------------------


def test_the_table_names_every_person_the_dictionary_knows() -> None:
    persons = {tag for tag, entry in dictionary.elements().items() if entry[0] == "PN"}
    assert persons <= without_identity().masked
    assert len(persons) > 30


def test_the_table_names_every_address_and_every_comment_the_dictionary_knows_but_those_of_devices() -> None:
    left = {
        entry[4]
        for tag, entry in dictionary.elements().items()
        if tag not in without_identity().masked
        and (entry[0] == "UR" or ("Comment" in entry[4] and entry[0] not in ("CS", "SQ")))
        and tag >> 16 > tags.FILE_META_GROUP
    }
    assert left == {
        "CodingSchemeURL",
        "RelativeURIReferenceWithinEncapsulatedDocument",
        "SOPAuthorizationComment",
        "SystemStatusComment",
        "TestResultComment",
        "URNCodeValue",
    }


def test_machines_are_masked_by_whatever_attribute_they_are_told_apart() -> None:
    """Numbers and names of one single device; those of a model stay."""
    devices = {
        tag
        for tag, (_, _, _, _, keyword) in dictionary.elements().items()
        if re.search(r"MachineName$|(?<!Lot)SerialNumber$|StationName$|(?<!Accessory)(?<!Spreading)DeviceID$", keyword)
    }
    left = {dictionary.elements()[tag][4] for tag in devices - without_identity().masked}
    assert not left, "each says where somebody was treated or examined"
    assert len(devices) > 10


def test_the_table_names_nothing_twice_and_nothing_that_an_instance_needs() -> None:
    words = [word for words in IDENTIFYING.values() for word in words]
    assert len(words) == len(set(words))
    assert not RESEARCHER & STRUCTURE


def test_json_is_masked_as_data_sets_are(manifest: tuple[CorpusFile, ...]) -> None:
    """What metadata shows is what the data set holds: the same elements, the same empty ones."""
    for file in [file for _, file in zip(range(60), good_files(manifest), strict=False)]:
        attributes = describe(file.source, file.syntax, LIMITS).attributes
        leaving = masked(file.body, file.syntax, RESEARCHER)
        assert every_name(mask(attributes, RESEARCHER)) == every_name(
            describe(Bytes(leaving), file.syntax, LIMITS).attributes
        )
