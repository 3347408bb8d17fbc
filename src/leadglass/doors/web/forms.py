"""What people send: forms of our pages, or the same fields as JSON.

Rule: a few short fields of text. What is longer, repeated or of another kind is
refused before anybody looks at it.
"""

from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qsl

import msgspec
from starlette.requests import Request

from leadglass.doors.web.problem import HttpFault, problem_of
from leadglass.errors import BadInput, Denied, LeadglassError, Throttled

MOST_BYTES: Final = 32 * 1024
"""Bytes of a form: a passphrase may have 1,024 characters of four bytes, written out in twelve."""

_MOST_FIELDS: Final = 20

_FORM: Final = "application/x-www-form-urlencoded"
_JSON: Final = "application/json"


def media_type(request: Request) -> str:
    """Give the media type of the body, without parameters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def is_form(request: Request) -> bool:
    """Say whether the body is a form of a page."""
    return media_type(request) == _FORM


def wants_json(request: Request) -> bool:
    """Say whether who asks is a program: it sends JSON, or accepts it and no page."""
    if media_type(request) == _JSON:
        return True
    accept = request.headers.get("accept", "")
    return _JSON in accept and "text/html" not in accept


def wants_page(request: Request) -> bool:
    """Say whether who asks is a browser that is to show a page."""
    return "text/html" in request.headers.get("accept", "") and not wants_json(request)


async def fields_of(request: Request) -> dict[str, str]:
    """Read the fields of a form, or of a JSON object of texts and numbers; again, the second time.

    Raises
    ------
    HttpFault, BadInput
    """
    kept = getattr(request.state, "fields", None)
    if isinstance(kept, dict):
        return dict(kept)  # pyright: ignore[reportUnknownArgumentType,reportUnknownVariableType] - put there below
    body = await _body(request)
    match media_type(request):
        case "application/x-www-form-urlencoded":
            fields = _form(body)
        case "application/json":
            fields = _json(body)
        case "" if not body:
            fields = {}
        case _:
            raise HttpFault(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"Send a form ({_FORM}), or {_JSON}.")
    request.state.fields = fields
    return fields


async def _body(request: Request) -> bytes:
    """Read the body, and no more of it than a form has: that of a route that stores may be as large as a disk."""
    taken = bytearray()
    async for block in request.stream():
        taken += block
        if len(taken) > MOST_BYTES:
            raise HttpFault(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"A form has at most {MOST_BYTES} bytes.")
    return bytes(taken)


def _form(body: bytes) -> dict[str, str]:
    try:
        pairs = parse_qsl(
            body.decode("ascii"), keep_blank_values=True, strict_parsing=bool(body), errors="strict",
            max_num_fields=_MOST_FIELDS,
        )  # fmt: skip
    except ValueError:
        raise BadInput("The form cannot be read. Load the page again.") from None
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise BadInput("The form has a field twice. Load the page again.")
    return fields


def _json(body: bytes) -> dict[str, str]:
    try:
        read = msgspec.json.decode(body, type=dict[str, str | int])
    except (msgspec.MsgspecError, RecursionError):
        raise BadInput("The body is to be a JSON object whose values are texts or whole numbers.") from None
    if len(read) > _MOST_FIELDS:
        raise BadInput(f"At most {_MOST_FIELDS} fields are read.")
    return {name: str(value) for name, value in read.items()}


def needed(fields: dict[str, str], name: str) -> str:
    """Give a field that has to be there.

    Raises
    ------
    BadInput
    """
    value = fields.get(name, "")
    if not value.strip():
        raise BadInput(f"{name.replace('_', ' ').capitalize()} is missing.")
    return value


def same_twice(fields: dict[str, str], name: str) -> str:
    """Give a new password, typed twice by people and once by programs.

    Raises
    ------
    BadInput
    """
    value = fields.get(name, "")
    if value != fields.get("again", value):
        raise BadInput("The two new passwords are not the same.")
    return value


def told(request: Request, error: LeadglassError, *, denied: str = "") -> tuple[str, HTTPStatus]:
    """Say what was wrong with a form, to be shown beside it, and the status of that page.

    Parameters
    ----------
    request : Request
        What was sent; where a program sent it, it hears the error instead.
    error : LeadglassError
        What was wrong. That of a refusal is told too: it is about what was typed.
    denied : str
        What is said of a refusal instead of its message.

    Raises
    ------
    LeadglassError
        The error, as a program may hear it.
    """
    is_denied = isinstance(error, Denied)
    text = (denied or error.message) if is_denied else error.message
    if wants_json(request):
        raise (HttpFault(HTTPStatus.FORBIDDEN, text) if is_denied else error) from None
    if isinstance(error, Throttled):
        seconds = max(1, round(error.retry_after))
        wait = f"{seconds} seconds" if seconds < 90 else f"{round(seconds / 60)} minutes"
        text = f"Too many attempts failed. Try again in {wait}."
    return text, problem_of(error).status


def way_back(text: str) -> str:
    """Give where to go after signing in: a path of this archive, else its first page."""
    is_path = text.startswith("/") and not text.startswith("//") and len(text) <= 512
    plain = text.isascii() and text.isprintable() and not any(c in text for c in '\\"<>#')
    return text if is_path and plain and not text.startswith("/sign-") else "/"
