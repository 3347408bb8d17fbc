"""The cookie of who is here by a link, and what such a caller reaches.

Rule 1. It is a cookie of its own, with the bars of the session's (``cookie``). Rule 2.
A request that shows it beside a session is nobody's: what is meant is not guessed
at; and no browser of ours gets there, because signing in takes it away, and a link is
not opened in a browser that is signed in. Rule 3. Of all paths a link reaches those
that are listed here; every other is not here, whatever its rights would say.
"""

import re
from typing import Final

from starlette.responses import Response

from leadglass.doors.web.evidence import SHARE_COOKIE
from leadglass.identity.share_visits import OpenedShare
from leadglass.policy.action import Action
from leadglass.policy.caller import Caller, CallerKind

HOME: Final = "/shared"
"""Where a link leads: what it shows, or where files are dropped."""

_LOOKING: Final = re.compile(
    r"""/shared(/.*)?
    |/look/.*
    |/documents/.*
    |/dicom-web/studies/[^/]+(/series/[^/]+(/instances/[^/]+(/frames/[^/]+)?)?)?/(rendered|thumbnail)""",
    re.VERBOSE,
)
"""Pages and pictures."""

_TAKING: Final = re.compile(
    r"""/viewer(/.*)?
    |/studies/[^/]+/download
    |/dicom-web/(studies|series|instances)
    |/dicom-web/studies/[^/]+(/.*)?""",
    re.VERBOSE,
)
"""What a viewer asks for, and files."""

_SENDING: Final = re.compile(r"/(shared|upload)(/.*)?")
"""Sending in."""

_READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})


def reaches(caller: Caller, method: str, path: str) -> bool:
    """Say whether somebody reaches a path at all; what is permitted there is decided there.

    Parameters
    ----------
    caller : Caller
        Who asks. Whoever is not here by a link reaches every path.
    method : str
        What is asked.
    path : str
        Of the route, or of the request where there is no route.
    """
    if caller.kind is not CallerKind.LINK:
        return True
    actions = {action for grant in caller.grants for action in grant.actions}
    if Action.SUBMIT in actions:
        return _SENDING.fullmatch(path) is not None
    if path.startswith(HOME):
        return _LOOKING.fullmatch(path) is not None
    if method not in _READING:
        return False
    return _LOOKING.fullmatch(path) is not None or (Action.GET in actions and _TAKING.fullmatch(path) is not None)


def give_share(response: Response, opened: OpenedShare) -> Response:
    """Put a visit's cookie on a response. It ends with the browser, and by itself before."""
    response.set_cookie(SHARE_COOKIE, opened.secret, path="/", secure=True, httponly=True, samesite="strict")
    return response
