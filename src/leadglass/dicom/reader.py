"""Reader: a bounded pull parser of data sets, in every uncompressed encoding (PS3.5 section 7).

Rules. Every length is checked against what is really there before anything is
read or skipped. Long values stay where they are. Depth, elements and bytes are
limited, and nothing recurses. Elements come out as DICOM JSON (PS3.18 Annex F)
in one pass: ``_run`` is the fast lane for elements with short values,
``_turn`` does everything else, one thing at a time.
"""

from dataclasses import dataclass, field
from typing import Any, Final

from leadglass.dicom import dictionary, tags
from leadglass.dicom.charset import Charset, charset_of
from leadglass.dicom.limits import Limits
from leadglass.dicom.model import Attributes, JsonElement, bulk_uri
from leadglass.dicom.source import ReadAt
from leadglass.dicom.values import VRS
from leadglass.dicom.vocabulary import IMPLICIT, Encoding, Plan, Sort, Vocabulary, vocabulary
from leadglass.errors import BadInput

_WINDOW: Final = 64 << 10
_PROBE: Final = 512
_MOST_WARNINGS: Final = 32
_UNDEFINED: Final = 0xFFFFFFFF
_ALWAYS_KEPT: Final = 256
_IDENTITY: Final = frozenset(
    {
        tags.SpecificCharacterSet,
        tags.SOPClassUID,
        tags.SOPInstanceUID,
        tags.AccessionNumber,
        tags.PatientName,
        tags.PatientID,
        tags.IssuerOfPatientID,
        tags.PatientBirthDate,
        tags.StudyInstanceUID,
        tags.SeriesInstanceUID,
    }
)
"""Elements that must not stand twice: readers would differ over whose image it is."""


@dataclass(frozen=True, slots=True)
class PixelElement:
    """Where the pixel data of the data set is.

    Parameters
    ----------
    tag : int
        Pixel Data, Float Pixel Data or Double Float Pixel Data.
    vr : str
        As encoded.
    offset, length : int
        Of the value; in encapsulated pixel data all items and the delimiter.
    fragments : list of tuple of int, or None
        Offset and length of each item's value, without the first (the Basic
        Offset Table); None for native pixel data.
    offset_table : tuple of int
        Offset and length of the Basic Offset Table's value.
    """

    tag: int
    vr: str
    offset: int
    length: int
    fragments: list[tuple[int, int]] | None = None
    offset_table: tuple[int, int] = (0, 0)


@dataclass(slots=True)
class Reading:
    """What a data set holds.

    Parameters
    ----------
    attributes : Attributes
        Its elements.
    pixels : PixelElement or None
        The top-level pixel data, where there is any.
    located : dict of int to tuple of int
        Offset and length of the top-level values that were left where they
        are, and of the Extended Offset Table.
    warnings : list of str
        What was wrong and tolerated.
    size : int
        Bytes up to the end of the last element.
    """

    attributes: Attributes
    pixels: PixelElement | None = None
    located: dict[int, tuple[int, int]] = field(default_factory=dict[int, tuple[int, int]])
    warnings: list[str] = field(default_factory=list[str])
    size: int = 0


@dataclass(slots=True)
class _Frame:
    """What to go back to when an item or a sequence ends."""

    item: Attributes
    last: str
    bound: int
    is_undefined: bool
    items: list[Attributes] | None
    words: Vocabulary
    charset: Charset
    is_plain: bool


def read(source: ReadAt, encoding: Encoding, limits: Limits, *, keeps_bytes: bool = False, stop: str = "") -> Reading:
    """Read a whole data set.

    Parameters
    ----------
    source : ReadAt
        The data set, inflated.
    encoding : Encoding
        How it is encoded.
    limits : Limits
        What it may cost.
    keeps_bytes : bool
        Values as bytes instead of JSON (for comparing and re-encoding).
    stop : str
        Stop before the first top-level element whose tag is not below this one
        (eight hexadecimal digits); empty reads everything.

    Raises
    ------
    BadInput
        When it cannot be read to its end within the limits.
    """
    return _Reader(source, encoding, limits, keeps_bytes=keeps_bytes, stop=stop).read()


class _Reader:
    """The state of one reading; a ``values.Context`` for converters."""

    __slots__ = (
        "_count",
        "_inline_limit",
        "_keeps_bytes",
        "_limits",
        "_located",
        "_odd",
        "_pixels",
        "_size",
        "_skipped",
        "_source",
        "_stack",
        "_stop_at",
        "_value_limit",
        "_warnings",
        "_window",
        "base",
        "bound",
        "buffer",
        "charset",
        "is_plain",
        "is_undefined",
        "item",
        "items",
        "last",
        "position",
        "root",
        "words",
    )

    def __init__(self, source: ReadAt, encoding: Encoding, limits: Limits, *, keeps_bytes: bool, stop: str) -> None:
        self._source = source
        self._limits = limits
        self._keeps_bytes = keeps_bytes
        self._stop_at = stop
        self._size = source.size
        self._stack: list[_Frame] = []
        self._warnings: dict[str, None] = {}
        self._pixels: PixelElement | None = None
        self._located: dict[int, tuple[int, int]] = {}
        self._skipped = 0
        self._count = 0
        self._odd = 0
        self._value_limit = limits.value_bytes
        self._inline_limit = limits.value_bytes if keeps_bytes else limits.inline_bytes
        self.charset = Charset()
        self.is_plain = True
        self.root: Attributes = {}
        self.item = self.root
        self.items: list[Attributes] | None = None
        """The items of the sequence that is read; None while elements are read."""
        self.last = ""
        self.bound = self._size
        self.is_undefined = False
        self.words = vocabulary(encoding, keeps_bytes=keeps_bytes)
        self._window = _WINDOW
        """Bytes to read next: few after a jump, where another fragment's header may be all that is wanted."""
        self.base = 0
        self.buffer = source.read_at(0, _WINDOW)
        self.position = 0

    # --- what converters see --------------------------------------------------

    def warn(self, text: str) -> None:
        """Note what was wrong and tolerated, once."""
        if len(self._warnings) < _MOST_WARNINGS:
            self._warnings.setdefault(text)

    # --- reading --------------------------------------------------------------

    def read(self) -> Reading:
        """Read to the end."""
        while True:
            if self.items is None:
                self._run()
            if not self._turn():
                break
        self._charge(len(self.root))
        if self._odd & 1:
            self.warn("a value has an odd length")
        end = self.base + self.position
        return Reading(self.root, self._pixels, self._located, list(self._warnings), end)

    def _run(self) -> None:
        """Read elements for as long as they are short, whole in the window and in ascending order."""
        buffer, position, words, item, last = self.buffer, self.position, self.words, self.item, self.last
        stop = min(self.bound - self.base, len(buffer))
        limit, inline = self._value_limit, self._inline_limit
        header, fast, long_length = words.header, words.fast, words.long_length
        odd = 0
        while position + 8 <= stop:
            head, length = header(buffer, position)
            plan = fast.get(head)
            if plan is None:
                break
            convert, name, vr, has_long_length, is_binary = plan
            if name <= last:
                break
            start = position + 8
            if has_long_length:
                start = position + 12
                if start > stop:
                    break
                length = long_length(buffer, position + 8)[0]
            end = start + length
            if end > stop or length > (inline if is_binary else limit):
                break
            odd |= length
            item[name] = convert(buffer[start:end], self) if length else {"vr": vr}
            last = name
            position = end
        self._odd |= odd
        self.position = position
        self.last = last

    def _turn(self) -> bool:
        """Do one thing that the fast lane does not; False at the end of the data set."""
        if not self._fill(8):
            return self._end()
        if self.items is not None:
            self._next_item()
            return True
        plan, length, start = self._header()
        if self._stop_at and not self._stack and plan.name >= self._stop_at:
            return False
        self._check_order(plan)
        match plan.sort:
            case Sort.DELIMITER:
                return self._delimiter(plan, length, start)
            case Sort.FORBIDDEN:
                return self._forbidden(plan)
            case _:
                self._element(plan, length, start)
                return True

    def _element(self, plan: Plan, length: int, start: int) -> None:
        is_undefined = length == _UNDEFINED
        match plan.sort:
            case Sort.SKIPPED:
                self._charge(1)
                self._check_room(plan, start, length)
                self._go(start + length)
            case Sort.SEQUENCE:
                self._open_sequence(plan, start, length)
            case Sort.UNKNOWN if is_undefined or plan.vr == "SQ":
                self._open_sequence(plan, start, length)
            case Sort.PIXELS | Sort.BINARY if is_undefined:
                self._encapsulated(plan, start)
            case Sort.CHARSET:
                self._value(plan, start, length)
                self._set_charset()
            case _:
                self._value(plan, start, length)

    # --- the window -----------------------------------------------------------

    def _fill(self, wanted: int) -> bool:
        """Have ``wanted`` bytes at the position in the window; False when fewer are left in this item or sequence."""
        if self.bound - self.base - self.position < wanted:
            return False
        if self.position + wanted > len(self.buffer):
            self.base += self.position
            self.position = 0
            self.buffer = self._source.read_at(self.base, max(wanted, self._window))
            self._window = min(_WINDOW, 4 * self._window)
            if len(self.buffer) < wanted:
                raise BadInput("The data set ends before the size it was announced with.")
            self._check_cost()
        return True

    def _check_cost(self) -> None:
        self._charge(0)
        read = self.base - self._skipped
        if read > self._limits.header_bytes:
            raise BadInput(f"The header is longer than {self._limits.header_bytes >> 20} MiB.")
        if read > self._limits.kept_bytes:
            self._value_limit = min(self._value_limit, _ALWAYS_KEPT)
            self._inline_limit = min(self._inline_limit, _ALWAYS_KEPT)

    def _charge(self, elements: int) -> None:
        self._count += elements
        if self._count + len(self.item) > self._limits.elements:
            raise BadInput(f"The data set has more than {self._limits.elements} elements.")

    def _header(self) -> tuple[Plan, int, int]:
        """Give plan, length and offset of the value of the element at the position."""
        words, position = self.words, self.position
        head, length = words.header(self.buffer, position)
        plan = words.plans.get(head) or words.learn(head)
        start = self.base + position + 8
        if plan.sort is Sort.DELIMITER:
            return plan, words.long_length(self.buffer, position + 4)[0], start
        if plan.has_long_length and not words.encoding.is_implicit:
            if not self._fill(12):
                raise BadInput("The data set ends inside an element's header.")
            return plan, words.long_length(self.buffer, self.position + 8)[0], start + 4
        return plan, length, start

    def _go(self, offset: int) -> None:
        """Go on at ``offset``; what lies between and outside of the window was skipped."""
        place = offset - self.base
        if place <= len(self.buffer):
            self.position = place
            return
        self._skipped += place - len(self.buffer)
        self._window = _PROBE
        self.base = offset
        self.buffer = b""
        self.position = 0

    def _check_room(self, plan: Plan, start: int, length: int) -> None:
        if length > self.bound - start:
            where = "the data set" if not self._stack else "its sequence or item"
            raise BadInput(
                f"{dictionary.keyword(plan.tag)} is longer than what is left of {where}: cut off or damaged."
            )

    # --- elements -------------------------------------------------------------

    def _check_order(self, plan: Plan) -> None:
        if plan.sort is Sort.DELIMITER or plan.sort is Sort.SKIPPED:
            return
        if plan.name > self.last:
            self.last = plan.name
        elif plan.name in self.item:
            if plan.tag in _IDENTITY and not self._stack:
                raise BadInput(f"{dictionary.keyword(plan.tag)} occurs twice: who or what this is would be a guess.")
            self.warn(f"{dictionary.keyword(plan.tag)} occurs twice; the last one counts")
        else:
            self.warn("elements are not in ascending order")

    def _value(self, plan: Plan, start: int, length: int) -> None:
        """Take a value of known length: keep it, or its place."""
        if length == _UNDEFINED:
            raise BadInput(f"{dictionary.keyword(plan.tag)} has an undefined length, which its VR does not allow.")
        self._check_room(plan, start, length)
        self._odd |= length
        is_binary = plan.sort is not Sort.PLAIN and plan.sort is not Sort.CHARSET
        limit = self._inline_limit if is_binary else self._value_limit
        if not length:
            self.item[plan.name] = {"vr": plan.vr}
        elif length <= limit and plan.sort is not Sort.PIXELS:
            self.item[plan.name] = plan.convert(self._source_bytes(start, length), self)
        else:
            self._locate(plan, start, length)
        if plan.sort is Sort.PIXELS and not self._stack:
            self._pixels = PixelElement(plan.tag, plan.vr, start, length)
        elif plan.sort is Sort.OFFSETS and not self._stack:
            self._located[plan.tag] = (start, length)
        self._go(start + length)

    def _locate(self, plan: Plan, start: int, length: int, *, is_encapsulated: bool = False) -> None:
        uri = bulk_uri(start, length, is_encapsulated=is_encapsulated)
        self.item[plan.name] = {"vr": plan.vr, "BulkDataURI": uri}
        if not self._stack:
            self._located[plan.tag] = (start, length)

    def _source_bytes(self, start: int, length: int) -> bytes:
        """Give bytes at or after the position, from the window, or else as the new window."""
        place = start - self.base
        if place + length <= len(self.buffer):
            return self.buffer[place : place + length]
        raw = self._source.read_at(start, length)
        if len(raw) < length:
            raise BadInput("The data set ends before the size it was announced with.")
        self.base, self.position, self.buffer = start, 0, raw
        return raw

    def _set_charset(self) -> None:
        element: dict[str, Any] = dict(self.item[tags.key(tags.SpecificCharacterSet)])
        values = element.get("Value", [])
        if self._keeps_bytes:
            return
        self.charset, is_known = charset_of(tuple(value or "" for value in values))
        self.is_plain = not self.charset.has_extensions and self.charset.codec != "shift_jis"
        if not is_known:
            self.warn("the Specific Character Set is not known")

    def _forbidden(self, plan: Plan) -> bool:
        if not self._stack and plan.tag == 0 and self._is_zero_to_the_end():
            self.warn("zeros follow the data set")
            return False
        if plan.tag >> 16 in (0, 2):
            raise BadInput(f"Group {plan.tag >> 16:04X} does not belong in a data set.")
        raise BadInput(f"An element has no value representation ({plan.name}): damaged, or another transfer syntax.")

    def _is_zero_to_the_end(self) -> bool:
        offset = self.base + self.position
        while offset < self._size:
            block = self._source.read_at(offset, 1 << 20)
            if not block or block.strip(b"\0"):
                return False
            offset += len(block)
        return True

    # --- sequences and items --------------------------------------------------

    def _push(self, item: Attributes, items: list[Attributes] | None, bound: int, *, is_undefined: bool) -> None:
        self._stack.append(
            _Frame(
                self.item, self.last, self.bound, self.is_undefined, self.items, self.words, self.charset, self.is_plain
            )
        )
        self.item, self.items, self.last = item, items, ""
        self.bound, self.is_undefined = bound, is_undefined

    def _pop(self) -> None:
        if self.items is None:
            self._charge(0)
            self._count += len(self.item) + 1
        frame = self._stack.pop()
        self.item, self.last, self.bound, self.is_undefined = frame.item, frame.last, frame.bound, frame.is_undefined
        self.items, self.words, self.charset, self.is_plain = frame.items, frame.words, frame.charset, frame.is_plain

    def _open_sequence(self, plan: Plan, start: int, length: int) -> None:
        if len(self._stack) >= 2 * self._limits.depth:
            raise BadInput(f"Sequences are nested more than {self._limits.depth} deep.")
        items: list[Attributes] = []
        is_undefined = length == _UNDEFINED
        if not is_undefined:
            self._check_room(plan, start, length)
        element: JsonElement = {"vr": "SQ"}
        if length:
            element["Value"] = items
        self.item[plan.name] = element
        self._go(start)
        self._push(self.item, items, self.bound if is_undefined else start + length, is_undefined=is_undefined)
        if plan.sort is Sort.UNKNOWN:
            # The contents of a sequence with VR UN are Implicit VR Little Endian (PS3.5 6.2.2, CP-246).
            self.words = vocabulary(IMPLICIT, keeps_bytes=self._keeps_bytes)

    def _next_item(self) -> None:
        """Read an item's header, or the delimiter of its sequence."""
        group, element = self.words.tag(self.buffer[self.position : self.position + 4])
        length: int = self.words.long_length(self.buffer, self.position + 4)[0]
        start = self.base + self.position + 8
        match group << 16 | element:
            case tags.Item:
                item: Attributes = {}
                is_undefined = length == _UNDEFINED
                if not is_undefined and length > self.bound - start:
                    raise BadInput("An item is longer than what is left of its sequence: cut off or damaged.")
                self.position += 8
                if self.items is not None:
                    self.items.append(item)
                self._push(item, None, self.bound if is_undefined else start + length, is_undefined=is_undefined)
                self._mend_encoding(start)
            case tags.SequenceDelimitationItem if self.is_undefined:
                self.position += 8
                self._close_sequence()
            case tags.SequenceDelimitationItem:
                self.position += 8
                self.warn("a sequence of defined length has a delimiter")
            case tags.ItemDelimitationItem:
                self.position += 8
                self.warn("an item of defined length has a delimiter")
            case _:
                raise BadInput("A sequence holds something that is not an item: damaged.")

    def _mend_encoding(self, start: int) -> None:
        """See whether an item is encoded otherwise than its data set, as in UN sequences of some devices."""
        if self.bound - start < 8 or not self._fill(8):
            return
        head = self.buffer[self.position : self.position + 8]
        words = self.words
        if words.tag(head[:4])[0] == tags.ITEM_GROUP or words.encoding.is_big_endian:
            return
        is_explicit = head[4:6].isalpha() and head[4:6].decode("ascii") in VRS
        if is_explicit == (not words.encoding.is_implicit):
            return
        implied = int.from_bytes(head[4:8], "little")
        fits = implied == _UNDEFINED or implied <= self.bound - start - 8
        if is_explicit != fits:
            self.words = vocabulary(
                Encoding(is_implicit=not is_explicit, is_big_endian=False), keeps_bytes=self._keeps_bytes
            )
            self.warn("a sequence is encoded with another VR form than its data set")

    def _close_sequence(self) -> None:
        items = self.items
        self._pop()
        if not items:
            last = self.last
            element = self.item.get(last)
            if element is not None and element["vr"] == "SQ" and element.get("Value") is items:
                element.pop("Value", None)

    def _delimiter(self, plan: Plan, length: int, start: int) -> bool:
        if plan.tag == tags.ItemDelimitationItem and self._stack:
            self._go(start)
            if self.is_undefined:
                self._pop()
            else:
                self.warn("an item of defined length has a delimiter")
            return True
        if not self._stack and not length:
            self.warn("a delimiter stands outside of any sequence")
            self._go(start)
            return True
        raise BadInput("An item or delimiter stands outside of its sequence: damaged.")

    def _end(self) -> bool:
        """Close what ends here by its length; False when that was the data set."""
        left = self.bound - self.base - self.position
        if self.is_undefined:
            raise BadInput("A sequence or item is never closed: cut off or damaged.")
        if left:
            rest = self._source_bytes(self.base + self.position, left)
            if rest.strip(b"\0"):
                raise BadInput("The data set ends inside an element's header: cut off or damaged.")
            self.warn("zeros follow the data set")
            self._go(self.bound)
        if not self._stack:
            return False
        if self.items is None:
            self._pop()
        else:
            self._close_sequence()
        return True

    # --- encapsulated pixel data ----------------------------------------------

    def _encapsulated(self, plan: Plan, start: int) -> None:
        """Walk the items of encapsulated pixel data (PS3.5 section A.4)."""
        fragments: list[tuple[int, int]] = []
        self._go(start)
        while True:
            if not self._fill(8):
                raise BadInput("Encapsulated pixel data is never closed: cut off or damaged.")
            group, element = self.words.tag(self.buffer[self.position : self.position + 4])
            length: int = self.words.long_length(self.buffer, self.position + 4)[0]
            offset = self.base + self.position + 8
            tag = group << 16 | element
            if tag == tags.SequenceDelimitationItem:
                break
            if tag != tags.Item:
                raise BadInput("Encapsulated pixel data holds something that is not an item: damaged.")
            if length > self.bound - offset:
                raise BadInput("A fragment is longer than what is left of the data set: cut off or damaged.")
            fragments.append((offset, length))
            if len(fragments) > self._limits.elements:
                raise BadInput(f"The pixel data has more than {self._limits.elements} fragments.")
            self._go(offset + length)
        self.position += 8
        length = self.base + self.position - start
        self._locate(plan, start, length, is_encapsulated=True)
        if not self._stack and plan.sort is Sort.PIXELS:
            table = fragments[0] if fragments else (0, 0)
            self._pixels = PixelElement(plan.tag, plan.vr, start, length, fragments[1:], table)
