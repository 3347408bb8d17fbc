"""Routes: no route without an answer to "who".

Rule 1. A route is for identified callers unless it says ``ANONYMOUS`` and why.
Rule 2. The caller is found out before the path is looked at: who is not
identified hears the same of every path, there or not. Rule 3. A handler raises
``LeadglassError`` kinds; ``problem`` says what they are on the web.
"""

import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

from starlette.requests import Request
from starlette.responses import Response

from leadglass.errors import Misconfigured
from leadglass.policy.caller import Caller

if TYPE_CHECKING:
    from leadglass.archive.archive import Archive
    from leadglass.dicom.renderer import Renderer
    from leadglass.dicom.transcode import Transcoder
    from leadglass.doors.pages.desk import PagesDesk
    from leadglass.doors.pages.federation.desk import FederationDesk
    from leadglass.doors.pages.people.desk import PeopleDesk
    from leadglass.doors.threads import Threads
    from leadglass.doors.web.settings import WebSettings

METHODS: Final = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS")
"""Methods a route may have. TRACE and CONNECT never: they hand back what was sent, or open a way through."""


def with_head(methods: Iterable[str]) -> tuple[str, ...]:
    """Give methods as they are answered: HEAD wherever there is GET (RFC 9110 9.1)."""
    given = tuple(dict.fromkeys(methods))
    if "GET" not in given or "HEAD" in given:
        return given
    after = given.index("GET") + 1
    return (*given[:after], "HEAD", *given[after:])


class Access(Enum):
    """Whom a route is for."""

    IDENTIFIED = "identified"
    ANONYMOUS = "anonymous"


@dataclass(frozen=True, slots=True)
class Asked:
    """One request of one proven caller.

    Parameters
    ----------
    request : Request
        What was asked.
    caller : Caller
        Who asked.
    again : callable, optional
        Finds out who asks once more, for an answer that lasts long: what was
        shown may have expired, or have been revoked. None: nobody any more.
    """

    request: Request
    caller: Caller
    again: Callable[[], Awaitable[Caller | None]] | None = None


Handler = Callable[[Asked], Awaitable[Response]]
AnonymousHandler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Route:
    """What is answered at a path.

    Parameters
    ----------
    path : str
        As Starlette writes it: ``/dicom-web/studies/{study}``.
    methods : tuple of str
        Its methods.
    handler : callable
        Answers an ``Asked``; that of an ``ANONYMOUS`` route the ``Request``.
    access : Access
        Whom it is for.
    why : str
        Why anybody may ask; demanded of an ``ANONYMOUS`` route.
    summary : str
        One sentence for the description of the interface.
    body_bytes : int, optional
        Most bytes of a request's body; by default what the settings say. Only
        where the handler takes the body as a stream may it be large.
    proves_again : bool
        Whether the handler itself finds out again and again who asks
        (``Asked.again``); otherwise an answer being sent is use, and is cut
        when the caller has not all the rights any more that it was begun with.
    """

    path: str
    methods: tuple[str, ...]
    handler: Handler | AnonymousHandler
    access: Access = Access.IDENTIFIED
    why: str = ""
    summary: str = ""
    body_bytes: int | None = None
    proves_again: bool = False

    def __post_init__(self) -> None:
        """Refuse a route that does not say whom it is for, and why."""
        if not self.path.startswith("/") or not self.methods or not set(self.methods) <= set(METHODS):
            known = ", ".join(METHODS)
            raise Misconfigured(f"The route {self.path} needs a path from the root and methods of {known}.")
        if self.access is Access.ANONYMOUS and len(self.why.split()) < 3:
            raise Misconfigured(f"The route {self.path} is for anybody and does not say why. Write the reason.")
        if self.access is Access.IDENTIFIED and self.why:
            raise Misconfigured(f"The route {self.path} says why anybody may ask, and is not for anybody.")


@dataclass(frozen=True, slots=True)
class Services:
    """What handlers work with, made by the composition root.

    Parameters
    ----------
    archive : Archive
        That of the door ``dicomweb``.
    threads : Threads
        Where blocking calls are made.
    transcoder : Transcoder
        Decodes and encodes pixels in killable workers.
    renderer : Renderer
        Makes pictures in killable workers.
    settings : WebSettings
        What the operator set.
    people : PeopleDesk, optional
        What the pages of people work with; without it there are none.
    federation : FederationDesk, optional
        What the other ways to sign in work with, likewise.
    pages : PagesDesk, optional
        What the other pages work with, likewise.
    """

    archive: "Archive"
    threads: "Threads"
    transcoder: "Transcoder"
    renderer: "Renderer"
    settings: "WebSettings"
    people: "PeopleDesk | None" = None
    federation: "FederationDesk | None" = None
    pages: "PagesDesk | None" = None


PARAMETER: Final = re.compile(r"\{([a-z_]+)(:path)?\}")
"""Where a path has a parameter."""


def pattern_of(path: str) -> re.Pattern[str]:
    """Give the expression that matches a path; ``{name}`` stands for one segment, ``{name:path}`` for the rest."""
    parts: list[str] = []
    end = 0
    for match in PARAMETER.finditer(path):
        parts += [re.escape(path[end : match.start()]), f"(?P<{match[1]}>{'.+' if match[2] else '[^/]+'})"]
        end = match.end()
    return re.compile("".join(parts) + re.escape(path[end:]))
