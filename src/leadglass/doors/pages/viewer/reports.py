"""Reports: what browsers say that a page's policy forbade (CSP3 5.3), counted and noted without where it was.

Rule 1. A report is nobody's word: anybody may send one, so it leads to a line in
the log and to nothing else. Rule 2. The line holds words of our own; addresses in
a report hold UIDs, and are thrown away. Rule 3. A flood of them is one line a minute.
"""

import logging
from collections import Counter
from collections.abc import Callable
from time import monotonic
from typing import Final
from urllib.parse import urlsplit

import msgspec
from starlette.requests import Request
from starlette.responses import Response

LOG: Final = logging.getLogger(__name__)

MOST_BYTES: Final = 16 * 1024
_PAUSE: Final = 60.0
"""Seconds between two lines of one kind."""

_DIRECTIVES: Final = frozenset(
    {"default-src", "script-src", "script-src-elem", "script-src-attr", "style-src", "style-src-elem", "style-src-attr"}
    | {"img-src", "connect-src", "font-src", "worker-src", "media-src", "object-src", "frame-src", "manifest-src"}
    | {"base-uri", "form-action", "frame-ancestors"}
)
_WORDS: Final = frozenset({"inline", "eval", "wasm-eval", "data", "blob", "self"})


class _Said(msgspec.Struct, rename="kebab"):
    effective_directive: str = ""
    violated_directive: str = ""
    blocked_uri: str = ""


class _Report(msgspec.Struct, rename="kebab"):
    csp_report: _Said


class Reports:
    """Takes reports in.

    Parameters
    ----------
    clock : callable
        Gives seconds.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self.counted: Counter[tuple[str, str]] = Counter()
        self._clock = clock
        self._noted: dict[tuple[str, str], float] = {}

    async def take(self, request: Request) -> Response:
        """Take one report in; whatever it is, the answer is the same."""
        body = bytearray()
        async for block in request.stream():
            body += block
            if len(body) > MOST_BYTES:
                return Response(status_code=204)
        try:
            said = msgspec.json.decode(bytes(body), type=_Report).csp_report
        except (msgspec.MsgspecError, RecursionError):
            return Response(status_code=204)
        self._note(_directive(said), _blocked(said.blocked_uri, request.headers.get("host", "")))
        return Response(status_code=204)

    def _note(self, directive: str, blocked: str) -> None:
        kind = (directive, blocked)
        self.counted[kind] += 1
        now = self._clock()
        if now - self._noted.get(kind, -_PAUSE) >= _PAUSE:
            self._noted[kind] = now
            LOG.warning(
                "a browser reports what a page's policy forbade",
                extra={"directive": directive, "blocked": blocked, "times": self.counted[kind]},
            )


def _directive(said: _Said) -> str:
    name = (said.effective_directive or said.violated_directive).partition(" ")[0]
    return name if name in _DIRECTIVES else "other"


def _blocked(uri: str, host: str) -> str:
    """Say what was blocked in a word: kinds there are few of, so that nothing of a report is kept."""
    if uri in _WORDS:
        return uri
    try:
        asked = urlsplit(uri).netloc
    except ValueError:
        return "other"
    if not asked:
        return "other"
    return "ours" if asked.lower() == host.lower() else "another host"
