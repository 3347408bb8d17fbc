"""Vocabulary: what to do with an element, looked up by the first bytes of its header.

Rule: the plan of an element depends on nothing but its tag, its VR and the
transfer syntax, so it is made once and kept; how many are kept is bounded.
"""

from enum import IntEnum
from functools import lru_cache
from struct import Struct
from typing import Final, NamedTuple

from leadglass.dicom import dictionary, tags, uids
from leadglass.dicom.model import JsonElement
from leadglass.dicom.values import LONG_FORM, TEXT_LIST, TEXT_ONE, VRS, Context, Converter, converter

_REPRESENTATION: Final = tags.key(tags.PixelRepresentation)
_PLANS_KEPT: Final = 20_000
"""Plans kept for each vocabulary; the dictionary has 5,000 tags."""


class Sort(IntEnum):
    """Sorts of elements, as the reader tells them apart."""

    PLAIN = 0
    """A value to convert."""
    SEQUENCE = 1
    PIXELS = 2
    """Pixel data, in any of its elements."""
    UNKNOWN = 3
    """VR UN without a dictionary's help: binary, or a sequence when its length is undefined."""
    CHARSET = 4
    """Specific Character Set."""
    SKIPPED = 5
    """Group length."""
    DELIMITER = 6
    """(FFFE,xxxx): item or delimiter."""
    FORBIDDEN = 7
    """A group that no data set may hold, or a VR that is none."""
    BINARY = 8
    """Binary; long or undefined lengths are likely."""
    OFFSETS = 9
    """Extended Offset Table: its place is needed to find frames, however short it is."""


class Plan(NamedTuple):
    """What to do with one element."""

    sort: Sort
    name: str
    """Eight hexadecimal digits."""
    vr: str
    """As it goes into the attributes."""
    convert: Converter
    has_long_length: bool
    """Explicit VR: whether two reserved bytes and four of length follow the VR."""
    tag: int


class Encoding(NamedTuple):
    """How elements are encoded (PS3.5 section 7)."""

    is_implicit: bool
    is_big_endian: bool


IMPLICIT: Final = Encoding(is_implicit=True, is_big_endian=False)
EXPLICIT: Final = Encoding(is_implicit=False, is_big_endian=False)
BIG_ENDIAN: Final = Encoding(is_implicit=False, is_big_endian=True)


def encoding_of(transfer_syntax_uid: str) -> Encoding:
    """Give the encoding of a transfer syntax, inflated where it is deflated."""
    match transfer_syntax_uid:
        case uids.IMPLICIT_VR_LITTLE_ENDIAN:
            return IMPLICIT
        case uids.EXPLICIT_VR_BIG_ENDIAN:
            return BIG_ENDIAN
        case _:
            return EXPLICIT


_RESOLVED: Final = {"OB or OW": "OW", "US or OW": "OW", "US or SS or OW": "US or SS"}
"""What Implicit VR is read as where the dictionary leaves a choice; US or SS hangs on Pixel Representation."""

_OFFSET_TABLES: Final = frozenset({tags.ExtendedOffsetTable, tags.ExtendedOffsetTableLengths})
_NO_VR: Final = ("  ", "??")
_PIXELS: Final = frozenset({tags.PixelData, tags.FloatPixelData, tags.DoubleFloatPixelData})


def _raw(vr: str, order: str) -> Converter:
    one = (1).to_bytes(2, "little" if order == "<" else "big")

    def convert(raw: bytes, _context: Context) -> JsonElement:
        return {"vr": vr, "Value": [raw]}

    def convert_ambiguous(raw: bytes, context: Context) -> JsonElement:
        representation = context.item.get(_REPRESENTATION) or context.root.get(_REPRESENTATION) or {"vr": "US"}
        return {"vr": "SS" if representation.get("Value") == [one] else "US", "Value": [raw]}

    return convert_ambiguous if vr == "US or SS" else convert


class Vocabulary:
    """The plans of one encoding.

    Parameters
    ----------
    encoding : Encoding
        How elements are encoded.
    keeps_bytes : bool
        Whether values stay bytes (``{"vr": …, "Value": [bytes]}``) and group
        lengths are left out as ever: for comparing and re-encoding.
    """

    __slots__ = (
        "_converters",
        "encoding",
        "fast",
        "head",
        "header",
        "keeps_bytes",
        "long_length",
        "order",
        "plans",
        "tag",
    )

    def __init__(self, encoding: Encoding, *, keeps_bytes: bool = False) -> None:
        self.encoding = encoding
        self.keeps_bytes = keeps_bytes
        self.order = ">" if encoding.is_big_endian else "<"
        self.head = 4 if encoding.is_implicit else 6
        self.plans: dict[bytes, Plan] = {}
        self.fast: dict[bytes, tuple[Converter, str, str, bool, bool]] = {}
        """What the fast lane needs of a plan: converter, name, VR, has a long length, is binary."""
        self.header = Struct(self.order + ("4sI" if encoding.is_implicit else "6sH")).unpack_from
        """Gives the first bytes of an element's header, by which plans are known, and its length if that is short."""
        self.tag = Struct(self.order + "HH").unpack
        self.long_length = Struct(self.order + "I").unpack_from
        self._converters: dict[str, Converter] = {}

    def learn(self, head: bytes) -> Plan:
        """Make the plan for an element that begins with ``head``: its tag, and its VR in Explicit VR."""
        group, element = self.tag(head[:4])
        tag = group << 16 | element
        plan = (
            self._implicit(tag)
            if self.encoding.is_implicit or group == tags.ITEM_GROUP
            else self._explicit(tag, head[4:6])
        )
        if group == tags.ITEM_GROUP:
            return plan  # what follows the tag is the length
        if len(self.plans) >= _PLANS_KEPT:
            self.plans.clear()
            self.fast.clear()
        self.plans[head] = plan
        if plan.sort in (Sort.PLAIN, Sort.BINARY, Sort.UNKNOWN) and plan.vr != "SQ":
            is_binary = plan.sort is not Sort.PLAIN
            self.fast[head] = (plan.convert, plan.name, plan.vr, plan.has_long_length, is_binary)
        return plan

    def _plan(self, sort: Sort, tag: int, vr: str, *, has_long_length: bool = False) -> Plan:
        convert = self._converters.get(vr)
        if convert is None:
            given = _RESOLVED.get(vr, vr)
            convert = _raw(given, self.order) if self.keeps_bytes else converter(given, self.order)
            self._converters[vr] = convert
        named = _RESOLVED.get(vr, vr).split(" ")[0]
        return Plan(sort, f"{tag:08X}", named, convert, has_long_length, tag)

    def _sort(self, tag: int, vr: str) -> Sort:
        if tag >> 16 == tags.ITEM_GROUP:
            return Sort.DELIMITER
        if tag >> 16 in (0, 2):
            return Sort.FORBIDDEN
        if not tag & 0xFFFF:
            return Sort.SKIPPED
        if tag in _PIXELS:
            return Sort.PIXELS
        if tag in _OFFSET_TABLES:
            return Sort.OFFSETS
        if tag == tags.SpecificCharacterSet:
            return Sort.CHARSET
        match vr:
            case "SQ":
                return Sort.SEQUENCE
            case "UN":
                return Sort.UNKNOWN
            case "OB" | "OD" | "OF" | "OL" | "OV" | "OW" | "OB or OW" | "US or OW":
                return Sort.BINARY
            case _:
                return Sort.PLAIN

    def _implicit(self, tag: int) -> Plan:
        vr = dictionary.vr(tag)
        return self._plan(self._sort(tag, vr), tag, vr)

    def _explicit(self, tag: int, letters: bytes) -> Plan:
        try:
            vr = letters.decode("ascii")
        except UnicodeDecodeError:
            vr = ""
        if vr == "UN" and not self.keeps_bytes:
            # Written by somebody without this dictionary: the value is Implicit VR Little Endian (PS3.5 6.2.2).
            known = vocabulary(IMPLICIT).learn(tag.to_bytes(4, "big")[1::-1] + tag.to_bytes(4, "big")[:1:-1])
            if known.vr != "UN" and known.sort in (Sort.PLAIN, Sort.SEQUENCE, Sort.BINARY, Sort.CHARSET):
                sort = Sort.CHARSET if known.sort is Sort.CHARSET else Sort.UNKNOWN
                return known._replace(sort=sort, has_long_length=True)
        if vr in VRS:
            sort = self._sort(tag, vr)
            return self._plan(sort, tag, vr, has_long_length=vr in LONG_FORM)
        if len(vr) == 2 and vr.isalpha() and vr.isupper():
            # A VR of a later edition has the long form and is treated as UN (PS3.5 section 6.2).
            return self._plan(Sort.UNKNOWN, tag, "UN", has_long_length=True)
        known = dictionary.vr(tag).split(" ")[0]
        if vr in _NO_VR and known not in LONG_FORM:
            # Some devices leave the VR out, and write the short form all the same; the dictionary knows it.
            return self._plan(self._sort(tag, known), tag, known)
        return self._plan(Sort.FORBIDDEN, tag, "UN")


@lru_cache(maxsize=8)
def vocabulary(encoding: Encoding, *, keeps_bytes: bool = False) -> Vocabulary:
    """Give the vocabulary of an encoding; its plans are kept from one data set to the next."""
    return Vocabulary(encoding, keeps_bytes=keeps_bytes)


def is_text(vr: str) -> bool:
    """Say whether values of a VR are text."""
    return vr in TEXT_LIST or vr in TEXT_ONE or vr in ("DS", "IS", "PN")
