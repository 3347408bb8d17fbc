"""Multipart bodies (RFC 2046 section 5.1, RFC 2387): read from blocks as they come, and written as they go.

Rule 1. The reader does no I/O and holds no more than one delimiter and one set
of part headers, however the same bytes are split into blocks. Rule 2. What is
not clearly a multipart body is refused, with what was wrong and where; nothing
is guessed. Rule 3. A boundary we write is random and long enough that no data
can hold it but by copying it.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from secrets import token_hex
from types import MappingProxyType
from typing import Final, assert_never

from leadglass.errors import BadInput

_LONGEST_BOUNDARY: Final = 256
"""Characters. RFC 2046 section 5.1.1 allows 70; Orthanc sends 73."""
_BOUNDARY: Final = re.compile(r"[!#-\[\]-~]([ !#-\[\]-~]*[!#-\[\]-~])?")
"""Printable ASCII without quotation mark and backslash, no space at an end: more than RFC 2046 allows, and harmless."""
_LONGEST_PADDING: Final = 256
"""Bytes of blanks after a boundary (transport padding). Real senders add none."""
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_TYPE: Final = re.compile(r"[ \t]*([!#$%&'*+.^_`|~0-9A-Za-z-]+)/([!#$%&'*+.^_`|~0-9A-Za-z-]+)[ \t]*")
_PARAMETER: Final = re.compile(
    r'[ \t]*;[ \t]*(?:([!#$%&\'*+.^_`|~0-9A-Za-z-]+)=("(?:[^"\\\x00-\x08\x0a-\x1f\x7f]|\\[\t -~])*"|[^\s;"]*))?[ \t]*'
)
_LONGEST_TYPE: Final = 4096
"""Characters of a Content-Type."""


class Malformed(BadInput):
    """A body, or a header about one, that is not what it has to be."""


class TooManyParts(BadInput):
    """A body of more parts than one request may have."""


@dataclass(frozen=True, slots=True)
class ContentType:
    """A media type with its parameters (RFC 9110 section 8.3.1).

    Parameters
    ----------
    name : str
        ``type/subtype`` in lower case.
    parameters : mapping of str to str
        Names in lower case; values as sent, without quotation marks.
    """

    name: str
    parameters: Mapping[str, str]


def parse_content_type(text: str) -> ContentType:
    """Read a Content-Type.

    Raises
    ------
    Malformed
        When it is none, or names a parameter twice.
    """
    if len(text) > _LONGEST_TYPE:
        raise Malformed(f"The Content-Type is longer than {_LONGEST_TYPE:,} characters.")
    match = _TYPE.match(text)
    if match is None:
        raise Malformed("The Content-Type is not a media type (type/subtype; parameter=value).")
    name = f"{match[1]}/{match[2]}".lower()
    parameters: dict[str, str] = {}
    position = match.end()
    while position < len(text):
        found = _PARAMETER.match(text, position)
        if found is None or found.end() == position:
            raise Malformed('A parameter of the Content-Type cannot be read. Write: name=value, or name="value".')
        position = found.end()
        if found[1] is None:  # a semicolon with nothing after it
            continue
        key, value = found[1].lower(), found[2]
        if key in parameters:
            raise Malformed("The Content-Type gives a parameter twice.")
        parameters[key] = re.sub(r"\\(.)", r"\1", value[1:-1]) if value[:1] == '"' else value
    return ContentType(name, MappingProxyType(parameters))


def boundary_of(content_type: ContentType) -> str:
    """Give the boundary of a multipart type.

    Raises
    ------
    Malformed
        When there is none, or it is not one (RFC 2046 section 5.1.1).
    """
    boundary = content_type.parameters.get("boundary", "")
    if not boundary:
        raise Malformed("The Content-Type gives no boundary, and the parts cannot be told apart without.")
    if len(boundary) > _LONGEST_BOUNDARY:
        raise Malformed(f"The boundary is longer than {_LONGEST_BOUNDARY} characters.")
    if _BOUNDARY.fullmatch(boundary) is None:
        raise Malformed("The boundary holds a character that a boundary must not hold (RFC 2046 section 5.1.1).")
    return boundary


@dataclass(frozen=True, slots=True)
class MultipartLimits:
    """What one body may cost to take apart.

    Parameters
    ----------
    header_bytes : int
        Bytes of one part's headers. 16 KiB: real ones have some 200.
    headers : int
        Header fields of one part. 32: real ones have up to five.
    parts : int
        Parts of one body. 100,000: twice the largest study we know of, and its
        answer is still some 20 MB.
    around_bytes : int
        Bytes before the first and after the last boundary, each. 64 KiB: real
        senders write nothing there, or one sentence.
    """

    header_bytes: int = 16 << 10
    headers: int = 32
    parts: int = 100_000
    around_bytes: int = 64 << 10


@dataclass(frozen=True, slots=True)
class PartBegins:
    """A part begins; its header fields, names in lower case."""

    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class PartData:
    """The next bytes of the part; never none."""

    data: bytes


@dataclass(frozen=True, slots=True)
class PartEnds:
    """The part is over."""


PartEvent = PartBegins | PartData | PartEnds
_ENDS: Final = PartEnds()


class _State(Enum):
    PREAMBLE = 0
    HEADERS = 1
    BODY = 2
    EPILOGUE = 3


class _After(Enum):
    """What follows a boundary at the beginning of a line."""

    PART = 0
    CLOSE = 1
    DATA = 2
    """The line goes on: it only begins like a boundary."""
    MORE = 3
    """Not enough is here to tell."""


class MultipartReader:
    """Takes a multipart body apart.

    Parameters
    ----------
    boundary : str
        As ``boundary_of`` gives it.
    limits : MultipartLimits
        What the body may cost.
    """

    __slots__ = ("_delimiter", "_limits", "_passed", "_pending", "_seen", "_skip", "_state", "parts")

    def __init__(self, boundary: str, limits: MultipartLimits) -> None:
        self._delimiter = b"\r\n--" + boundary.encode("ascii")
        self._limits = limits
        self._state = _State.PREAMBLE
        self._pending = b"\r\n"
        """What came and could not be told yet. A body begins at the beginning of a line, so as after a line's end."""
        self._skip = 2
        """Bytes at the beginning of ``_pending`` that are a line's end before the data, and no data."""
        self._passed = -2
        """Bytes of the body before ``_pending``."""
        self._seen = 0
        """Bytes of ``_pending`` of the preamble or epilogue that were counted."""
        self.parts = 0
        """Parts that began."""

    @property
    def is_closed(self) -> bool:
        """Whether the last boundary was read."""
        return self._state is _State.EPILOGUE

    def feed(self, block: bytes) -> Iterator[PartEvent]:
        """Give what is certain with the next block; to be iterated to its end before the next call.

        Raises
        ------
        Malformed
            When the body is not one of the declared boundary's.
        TooManyParts
            When it has more parts than are taken.
        """
        self._pending = self._pending + block if self._pending else block
        is_moving = True
        while is_moving:
            match self._state:
                case _State.PREAMBLE | _State.BODY:
                    data, is_moving = self._until_delimiter()
                    if data and self._state is not _State.PREAMBLE:
                        yield PartData(data)
                    if is_moving:
                        if self._state is _State.BODY:
                            yield _ENDS
                        self._next()
                case _State.HEADERS:
                    headers = self._headers()
                    is_moving = headers is not None
                    if headers is not None:
                        yield PartBegins(headers)
                case _State.EPILOGUE:
                    self._around(len(self._pending), "after the last boundary")
                    self._drop(len(self._pending))
                    is_moving = False
                case _ as never:
                    assert_never(never)

    def finish(self) -> Iterator[PartEvent]:
        """Give what is certain now that there is no more; to be iterated to its end.

        Raises
        ------
        Malformed
            When the last boundary is missing.
        """
        if self._state is _State.EPILOGUE:
            return
        rest = self._pending
        if self._state is not _State.HEADERS and rest.startswith(self._delimiter):
            after = rest[len(self._delimiter) :]
            if after[:2] == b"--" and not after[2:].strip(b" \t\r"):
                if self._state is _State.BODY:
                    yield _ENDS
                self._state = _State.EPILOGUE
                return
        if not self.parts:
            raise self._malformed("its boundary does not occur in the body; is it the one in the Content-Type?")
        raise self._malformed("the body ends without the last boundary (--boundary--): it is cut off")

    # --- states ---------------------------------------------------------------

    def _until_delimiter(self) -> tuple[bytes, bool]:
        """Take what lies before the next delimiter; gives it, and whether that delimiter is at the beginning now."""
        pending, delimiter = self._pending, self._delimiter
        start = 0
        found = pending.find(delimiter)
        while found >= 0:
            match self._after(found + len(delimiter)):
                case _After.PART | _After.CLOSE:
                    return self._take(found), True
                case _After.MORE:
                    return self._take(found), False
                case _After.DATA:
                    start = found + 1
                    found = pending.find(delimiter, start)
        kept = self._unsure(start)
        if kept == 0 and self._skip and self._state is _State.BODY:
            return b"", False
        return self._take(kept), False

    def _unsure(self, start: int) -> int:
        """Give where in ``_pending`` the beginning of a delimiter may be; its length when nowhere."""
        pending, delimiter = self._pending, self._delimiter
        size = len(pending)
        candidate = pending.find(b"\r", max(start, size - len(delimiter) + 1))
        while candidate >= 0:
            if delimiter.startswith(pending[candidate:]):
                return candidate
            candidate = pending.find(b"\r", candidate + 1)
        return size

    def _take(self, size: int) -> bytes:
        """Take so many bytes of the data, without the line's end that was before it."""
        if self._state is _State.PREAMBLE:
            self._around(size, "before the first boundary")
            if b"\n" + self._delimiter[2:] + b"\n" in self._pending[: size + len(self._delimiter) + 1]:
                raise self._malformed("its lines end with LF alone, and have to end with CR LF")
        elif self._state is _State.BODY and self._skip and size >= self._skip:
            data = self._pending[self._skip : size]
            self._skip = 0
            self._drop(size)
            return data
        data = self._pending[:size] if size < len(self._pending) else self._pending
        self._drop(size)
        return data

    def _after(self, position: int) -> _After:
        """Say what follows a boundary that ends at ``position``."""
        after = self._pending[position : position + _LONGEST_PADDING + 4]
        is_close = after[:2] == b"--"
        rest = after[2 if is_close else 0 :].lstrip(b" \t")
        if rest[:2] == b"\r\n":
            return _After.CLOSE if is_close else _After.PART
        if rest[:1] == b"\n":
            raise self._malformed("a line with a boundary ends with LF alone, and has to end with CR LF", position)
        if rest in (b"", b"\r") or after == b"-":
            if len(after) > _LONGEST_PADDING:
                raise self._malformed(f"more than {_LONGEST_PADDING} blanks follow a boundary", position)
            return _After.MORE
        return _After.DATA

    def _next(self) -> None:
        """Pass the delimiter at the beginning: to the headers of the next part, or to the end."""
        is_close = self._pending[len(self._delimiter) :][:2] == b"--"
        self._drop(self._pending.index(b"\r\n", len(self._delimiter)) + (2 if is_close else 0))
        self._seen = 0
        if is_close:
            self._state = _State.EPILOGUE
            return
        self.parts += 1
        if self.parts > self._limits.parts:
            raise TooManyParts(f"The body has more than {self._limits.parts:,} parts. Send it in several requests.")
        self._state = _State.HEADERS  # the line's end stays: with it, "no headers" looks like any end of headers

    def _headers(self) -> Mapping[str, str] | None:
        """Read a part's headers; None when they are not all here."""
        most = self._limits.header_bytes
        end = self._pending.find(b"\r\n\r\n", 0, most + 4)
        if end < 0:
            if len(self._pending) > most:
                raise self._malformed(f"its headers are longer than {most:,} bytes, or do not end with an empty line")
            return None
        headers = self._parsed(self._pending[2:end]) if end else {}
        self._drop(end + 2)  # the last line's end stays: a boundary may follow at once
        self._skip = 2
        self._state = _State.BODY
        return MappingProxyType(headers)

    def _parsed(self, raw: bytes) -> dict[str, str]:
        text = raw.decode("latin_1")
        text = re.sub(r"\r\n[ \t]+", " ", text)
        lines = text.split("\r\n")
        if len(lines) > self._limits.headers:
            raise self._malformed(f"it has more than {self._limits.headers} headers")
        headers: dict[str, str] = {}
        for line in lines:
            name, colon, value = line.partition(":")
            if not colon or _TOKEN.fullmatch(name) is None:
                raise self._malformed("a line of its headers is no header (name: value)")
            value = value.strip(" \t")
            if any(character < " " and character != "\t" for character in value):
                raise self._malformed("a header holds a control character; its lines have to end with CR LF")
            name = name.lower()
            if name in headers:
                raise self._malformed("it has the same header twice")
            headers[name] = value
        return headers

    def _around(self, size: int, where: str) -> None:
        """Count bytes that belong to no part."""
        self._seen += size
        if self._seen > self._limits.around_bytes + 2:
            raise self._malformed(f"more than {self._limits.around_bytes:,} bytes stand {where}")

    def _drop(self, size: int) -> None:
        self._passed += size
        self._pending = self._pending[size:] if size < len(self._pending) else b""

    def _malformed(self, what: str, offset: int = 0) -> Malformed:
        where = max(0, self._passed + offset)
        part = f"part {self.parts:,}" if self.parts else "before the first part"
        return Malformed(f"The multipart body cannot be read ({part}, byte {where:,} of the body): {what}.")


class MultipartWriter:
    """Writes a ``multipart/related`` body, a piece at a time.

    Parameters
    ----------
    media_type : str
        Of the parts, without parameters: the ``type`` parameter (RFC 2387).
    parameters : mapping of str to str, optional
        Further parameters of the Content-Type, as ``transfer-syntax``.
    """

    __slots__ = ("_has_begun", "_parameters", "boundary", "media_type")

    def __init__(self, media_type: str, parameters: Mapping[str, str] = MappingProxyType({})) -> None:
        self.media_type = media_type
        self.boundary = token_hex(24)
        """192 random bits: nobody who made the data knew it."""
        self._parameters = parameters
        self._has_begun = False

    @property
    def content_type(self) -> str:
        """The Content-Type of the whole."""
        more = "".join(f'; {name}="{_safe(value)}"' for name, value in self._parameters.items())
        return f'multipart/related; type="{_safe(self.media_type)}"; boundary={self.boundary}{more}'

    def part(self, headers: Mapping[str, str]) -> bytes:
        """Give what stands before the data of the next part.

        Raises
        ------
        ValueError
            When a header holds a line's end.
        """
        before = "\r\n" if self._has_begun else ""
        self._has_begun = True
        fields = "".join(f"{_safe(name)}: {_safe(value)}\r\n" for name, value in headers.items())
        return f"{before}--{self.boundary}\r\n{fields}\r\n".encode("latin_1")

    def end(self) -> bytes:
        """Give what stands after the data of the last part."""
        before = "\r\n" if self._has_begun else ""
        return f"{before}--{self.boundary}--\r\n".encode("ascii")


def _safe(text: str) -> str:
    if not text.isprintable():
        raise ValueError("A header must not hold control characters.")
    return text
