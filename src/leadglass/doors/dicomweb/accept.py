"""Accept: what a client says it can take, and the choice among what can be given (PS3.18 section 8.7).

Rule: parsing is one pass over text of bounded length, and what cannot be parsed
is refused, never guessed; the choice hangs on nothing but its two arguments.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from typing import Final

from starlette.requests import Request

from leadglass.dicom import uids
from leadglass.dicom.uids import is_transfer_syntax
from leadglass.doors.web.problem import HttpFault
from leadglass.errors import BadInput

RELATED: Final = "multipart/related"
DICOM: Final = "application/dicom"
OCTETS: Final = "application/octet-stream"
DICOM_JSON: Final = "application/dicom+json"
DICOM_XML: Final = "application/dicom+xml"
JSON: Final = "application/json"
ANY_SYNTAX: Final = "*"

_LONGEST: Final = 8 << 10
"""Characters of an Accept header; a viewer that lists every syntax of the Standard stays below 3,000."""
_MOST: Final = 100
"""Media ranges in it."""
_TOKEN: Final = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ/")


class NotAcceptable(HttpFault):
    """Nothing that the client takes can be given; the message says what could be."""

    def __init__(self, message: str) -> None:
        super().__init__(HTTPStatus.NOT_ACCEPTABLE, message)


@dataclass(frozen=True, slots=True)
class Wanted:
    """One media range of an Accept header.

    Parameters
    ----------
    media : str
        Media type in lower case; of a part where it is multipart; ``*/*`` and ``image/*`` are ranges.
    is_related : bool or None
        Whether multipart is wanted; None for ``*/*``, which says nothing of it.
    transfer_syntax : str
        A UID, ``*`` for any, or empty when nothing is said: then the default one.
    q : float
        0 to 1; 0 refuses.
    """

    media: str
    is_related: bool | None
    transfer_syntax: str = ""
    q: float = 1.0


@dataclass(frozen=True, slots=True)
class Offer:
    """One way in which an answer can be given.

    Parameters
    ----------
    media : str
        Media type, of a part where it is multipart.
    is_related : bool
        Whether it is multipart/related.
    transfer_syntax : str
        Of the payload; empty where there is none.
    is_default : bool
        Whether it is the answer to who names no transfer syntax.
    is_stored : bool
        Whether it is as stored: preferred when any transfer syntax will do, or several were named and this is one.
    """

    media: str
    is_related: bool
    transfer_syntax: str = ""
    is_default: bool = True
    is_stored: bool = False

    @property
    def content_type(self) -> str:
        """The media type of the payload, with its transfer syntax where it has one."""
        return f"{self.media}; transfer-syntax={self.transfer_syntax}" if self.transfer_syntax else self.media

    def __str__(self) -> str:
        """Give it as an Accept header would say it."""
        syntax = f"; transfer-syntax={self.transfer_syntax}" if self.transfer_syntax else ""
        return f'{RELATED}; type="{self.media}"{syntax}' if self.is_related else f"{self.media}{syntax}"


ANYTHING: Final = (Wanted("*/*", None),)
"""What no Accept header says (RFC 9110 section 12.5.1)."""


@lru_cache(maxsize=256)
def parse_accept(text: str) -> tuple[Wanted, ...]:
    """Read an Accept header, or the query parameter ``accept`` (PS3.18 section 8.3.3.1).

    Parameters
    ----------
    text : str
        The header's value, several headers joined by commas; empty says that anything will do.

    Raises
    ------
    BadInput
        When it is not a list of media ranges, or too long a one.
    """
    if len(text) > _LONGEST:
        raise BadInput(f"The Accept header is longer than {_LONGEST} characters.")
    wanted: list[Wanted] = []
    for entry in _split(text, ","):
        if not entry:
            continue
        if len(wanted) == _MOST:
            raise BadInput(f"The Accept header names more than {_MOST} media types.")
        wanted.append(_wanted(entry))
    return tuple(wanted) or ANYTHING


def accept_of(request: Request) -> tuple[Wanted, ...]:
    """Give what a request accepts; the query parameter, where there is one, stands in for the header."""
    if query := request.query_params.getlist("accept"):
        # In a query a "+" is a space unless it was escaped: application/dicom+json is often written plainly.
        return parse_accept(",".join(query).replace("dicom json", "dicom+json").replace("dicom xml", "dicom+xml"))
    return parse_accept(request.headers.get("accept", ""))


def choose(wanted: Sequence[Wanted], offers: Sequence[Offer]) -> Offer:
    """Give the offer that the client likes best; among equals the first.

    Each offer is judged by the range that names it most closely (RFC 9110 section 12.5.1).

    Raises
    ------
    NotAcceptable
        When the client takes none of them.
    """
    best: tuple[float, bool, int] | None = None
    for index, offer in enumerate(offers):
        match = max(
            ((_closeness(each), -place, each) for place, each in enumerate(wanted) if _fits(each, offer)),
            key=lambda rated: rated[:2],
            default=None,
        )
        if match is None or not match[2].q:
            continue
        is_named = match[2].transfer_syntax in (ANY_SYNTAX, offer.transfer_syntax or ANY_SYNTAX)
        rating = (match[2].q, offer.is_stored and is_named, -index)
        if best is None or rating > best:
            best = rating
    if best is None:
        available = ", ".join(dict.fromkeys(str(offer) for offer in offers))
        raise NotAcceptable(f"Nothing that the request accepts can be given. Available: {available}")
    return offers[-best[2]]


def _closeness(wanted: Wanted) -> tuple[int, int]:
    media = 0 if wanted.media == "*/*" else 1 if wanted.media.endswith("/*") else 2
    return media + (wanted.is_related is not None), 0 if wanted.transfer_syntax == ANY_SYNTAX else 1


def _fits(wanted: Wanted, offer: Offer) -> bool:
    if wanted.is_related is not None and wanted.is_related != offer.is_related:
        return False
    main = wanted.media.partition("/")[0]
    if wanted.media != "*/*" and wanted.media != offer.media and wanted.media != f"{main}/*":
        return False
    if wanted.media == f"{main}/*" and main != "*" and offer.media.partition("/")[0] != main:
        return False
    match wanted.transfer_syntax:
        case "":
            return offer.is_default
        case "*":
            return True
        case syntax:
            return not offer.transfer_syntax or syntax == offer.transfer_syntax


def _wanted(entry: str) -> Wanted:
    parts = _split(entry, ";")
    media = next(parts, "").lower()
    _check_media(media)
    kind, syntax, q = "", "", 1.0
    for part in parts:
        name, equals, value = part.partition("=")
        value = _unquoted(value.strip())
        match name.strip().lower():
            case "q":
                q = _quality(value)
            case "type":
                kind = value.lower()
                _check_media(kind)
            case "transfer-syntax":
                if value != ANY_SYNTAX and not is_transfer_syntax(value):
                    uids.parse_uid(value)  # a private one is well-formed at least
                syntax = value
            case "" if not equals:
                continue
            case _:
                continue  # charset, boundary and what others may add say nothing of what is given
    if media in (RELATED, "multipart/*"):
        return Wanted(kind or "*/*", is_related=True, transfer_syntax=syntax, q=q)
    return Wanted(media, None if media == "*/*" else False, syntax, q)


def _check_media(media: str) -> None:
    main, slash, sub = media.partition("/")
    if not slash or not main or not sub or "/" in sub or not _TOKEN.issuperset(media):
        raise BadInput("The Accept header holds something that is no media type.")
    if "*" in main and media != "*/*":
        raise BadInput("The Accept header holds something that is no media type.")


def _quality(value: str) -> float:
    """Read a weight (RFC 9110 section 12.4.2): 0 to 1, three decimals."""
    whole, _, decimals = value.partition(".")
    if whole not in ("0", "1") or len(decimals) > 3 or (decimals and not (decimals.isascii() and decimals.isdecimal())):
        raise BadInput("A weight (q) in the Accept header is not a number from 0 to 1.")
    if whole == "1" and decimals.strip("0"):
        raise BadInput("A weight (q) in the Accept header is not a number from 0 to 1.")
    return float(f"{whole}.{decimals or 0}")


def _unquoted(value: str) -> str:
    if len(value) >= 2 and value[0] == value[-1] == '"':
        return value[1:-1].replace('\\"', '"').replace("\\\\", "\\")
    if '"' in value:
        raise BadInput("The Accept header holds a quotation mark that is not closed.")
    return value


def _split(text: str, separator: str) -> Iterator[str]:
    """Give the pieces between separators that are outside of quotation marks, stripped."""
    if '"' not in text:
        for piece in text.split(separator):
            yield piece.strip(" \t")
        return
    start, is_quoted, is_escaped = 0, False, False
    for place, character in enumerate(text):
        if is_escaped:
            is_escaped = False
        elif character == '"':
            is_quoted = not is_quoted
        elif is_quoted:
            is_escaped = character == "\\"
        elif character == separator:
            yield text[start:place].strip(" \t")
            start = place + 1
    if is_quoted:
        raise BadInput("The Accept header holds a quotation mark that is not closed.")
    yield text[start:].strip(" \t")
