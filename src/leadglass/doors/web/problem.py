"""Problems: what each kind of error is called on the web (RFC 9457).

Rule 1. The table is total: every kind has its status, and a test walks them all.
Rule 2. Why something was refused stays in the audit log, and what is wrong inside
the archive stays in its log: who asks hears that it was, never the reason. Rule 3.
A problem document holds no patient data and nothing of the request.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from math import ceil, isfinite
from types import MappingProxyType
from typing import Final

from starlette.responses import Response

from leadglass.errors import BadInput, Kind, LeadglassError, Throttled

MEDIA_TYPE: Final = "application/problem+json"

NAMESPACE: Final = "urn:leadglass:problem:"
"""What the types of problems begin with: names, not addresses, so that nothing is fetched from anybody."""

_BUSY: Final = 5
"""Seconds after which somebody may ask again who was told that the archive is busy."""

_LONGEST: Final = 86_400
"""Seconds of Retry-After at most; what a caller can never have has none."""


@dataclass(frozen=True, slots=True)
class Answer:
    """How one kind of error is answered.

    Parameters
    ----------
    status : HTTPStatus
        The status code.
    slug : str
        The end of the problem's type.
    title : str
        What is always true of it, in few words.
    tells : bool
        Whether the error's message goes to who asked.
    """

    status: HTTPStatus
    slug: str
    title: str
    tells: bool = True


TABLE: Final = MappingProxyType(
    {
        Kind.DENIED: Answer(HTTPStatus.FORBIDDEN, "denied", "Not permitted", tells=False),
        Kind.NOT_HERE: Answer(HTTPStatus.NOT_FOUND, "not-here", "Not here", tells=False),
        Kind.BAD_INPUT: Answer(HTTPStatus.BAD_REQUEST, "bad-input", "The request cannot be understood"),
        Kind.CONFLICT: Answer(HTTPStatus.CONFLICT, "conflict", "It contradicts what is stored"),
        Kind.BUSY: Answer(HTTPStatus.SERVICE_UNAVAILABLE, "busy", "Not now"),
        Kind.THROTTLED: Answer(HTTPStatus.TOO_MANY_REQUESTS, "throttled", "Too much in too short a time"),
        Kind.FULL: Answer(HTTPStatus.INSUFFICIENT_STORAGE, "full", "There is no room", tells=False),
        Kind.CORRUPT: Answer(HTTPStatus.INTERNAL_SERVER_ERROR, "corrupt", "What is stored is damaged", tells=False),
        Kind.UNSUPPORTED: Answer(HTTPStatus.NOT_IMPLEMENTED, "unsupported", "Not something this archive can do"),
        Kind.MISCONFIGURED: Answer(
            HTTPStatus.INTERNAL_SERVER_ERROR, "misconfigured", "The archive is not set up for this", tells=False
        ),
    }
)
"""Kind → answer. The one table; what only HTTP tells apart is an ``HttpFault``."""

UNIDENTIFIED: Final = Answer(HTTPStatus.UNAUTHORIZED, "unidentified", "Say who you are")
"""What everybody hears who is not identified, whatever the reason and whatever was asked for."""

FAULT: Final = Answer(HTTPStatus.INTERNAL_SERVER_ERROR, "fault", "Something went wrong")
"""What a fault of our own is answered with."""


class HttpFault(BadInput):
    """A fault of a request for which HTTP has a status of its own (406, 413, 415, …).

    Parameters
    ----------
    status : HTTPStatus
        That status.
    message : str
        What was wrong, then what to do. No patient data.
    headers : mapping of str to str, optional
        Headers that belong to the status.
    """

    def __init__(self, status: HTTPStatus, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.headers: Mapping[str, str] = headers or {}


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem document and the headers that go with it."""

    status: HTTPStatus
    slug: str
    title: str
    detail: str = ""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])

    def body(self) -> bytes:
        """Give the document."""
        said: dict[str, str | int] = {
            "type": NAMESPACE + self.slug,
            "title": self.title,
            "status": int(self.status),
        }
        if self.detail:
            said["detail"] = self.detail
        return json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode()

    def response(self) -> Response:
        """Give it as a response."""
        return Response(self.body(), self.status, dict(self.headers), MEDIA_TYPE)


def problem_of(error: LeadglassError) -> Problem:
    """Give the problem that an error is on the web."""
    answer = TABLE[error.kind]
    if isinstance(error, HttpFault):
        slug = error.status.phrase.lower().replace(" ", "-")
        return Problem(error.status, slug, error.status.phrase, error.message, error.headers)
    headers: dict[str, str] = {}
    if isinstance(error, Throttled):
        if isfinite(error.retry_after):
            headers["Retry-After"] = str(min(_LONGEST, max(1, ceil(error.retry_after))))
    elif error.kind is Kind.BUSY:
        headers["Retry-After"] = str(_BUSY)
    return Problem(answer.status, answer.slug, answer.title, error.message if answer.tells else "", headers)


def plain(answer: Answer, headers: Mapping[str, str] | None = None, detail: str = "") -> Problem:
    """Give a problem that says nothing but its name, and what to do about it."""
    return Problem(answer.status, answer.slug, answer.title, detail, headers or {})
