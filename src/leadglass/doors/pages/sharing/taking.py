"""Taking: how much may still come by a receive link, counted while it comes.

Rule. What is announced is counted before it is read; what a ZIP turns out to hold,
member by member, and it is left where the link's measure is full, or the link ended.
"""

from collections.abc import Sequence
from http import HTTPStatus
from threading import Lock
from typing import Final

from leadglass.doors.pages.upload.results import Outcome, Unpacked
from leadglass.doors.web.problem import HttpFault
from leadglass.errors import Full
from leadglass.identity.shares import Shares

_TOGETHER: Final = (100, 64 << 20)
"""Members and bytes of a ZIP that are counted together at most."""


class Taking:
    """One request by a link that sends files (blocking; safe for threads).

    Parameters
    ----------
    shares : Shares
        Where it is counted.
    link : str
        The link's id.
    length : int, optional
        Bytes that the request announces.

    Raises
    ------
    HttpFault
        When nothing is announced, or it is more than the link takes.
    NotHere
        When the link has ended.
    """

    def __init__(self, shares: Shares, link: str, length: int | None) -> None:
        if length is None:
            raise HttpFault(HTTPStatus.LENGTH_REQUIRED, "Say how long it is (Content-Length).")
        try:
            share = shares.took(link, 1, length)
        except Full as error:
            raise HttpFault(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, error.message) from None
        self._shares = shares
        self._link = link
        self._lock = Lock()
        self._counted = [1, length]
        self._seen = [0, 0]
        self._left = [share.most_files - share.files + 1, share.most_octets - share.octets + length]
        """What the link took yet when this request's were counted last, but for them."""

    def member(self, octets: int) -> bool:
        """Count a member of a ZIP, whatever becomes of it: reading it is work. Says whether there is room for more."""
        with self._lock:
            self._seen = [self._seen[0] + 1, self._seen[1] + octets]
            beyond = [seen - counted for seen, counted in zip(self._seen, self._counted, strict=True)]
            if any(each >= most for each, most in zip(beyond, _TOGETHER, strict=True)):
                self._count(self._seen)
            return all(seen < left for seen, left in zip(self._seen, self._left, strict=True))

    def require(self) -> None:
        """Raise ``NotHere`` when the link has ended meanwhile."""
        self._shares.took(self._link, 0, 0)

    def settle(self, outcomes: Sequence[Outcome]) -> None:
        """Count what came, beyond what was announced."""
        with self._lock:
            alone = [each for each in outcomes if not isinstance(each, Unpacked)]
            files = sum(1 if not isinstance(each, Unpacked) else sum(each.counts.values()) for each in outcomes)
            octets = sum(each.octets for each in outcomes)
            seen = [len(alone) + self._seen[0], sum(each.octets for each in alone) + self._seen[1]]
            self._count([max(files, seen[0]), max(octets, seen[1])])

    def _count(self, seen: Sequence[int]) -> None:
        """Have the link know of what is not counted yet, and know what others sent by it meanwhile."""
        files, octets = (max(0, each - counted) for each, counted in zip(seen, self._counted, strict=True))
        share = self._shares.count(self._link, files, octets)
        self._counted = [self._counted[0] + files, self._counted[1] + octets]
        if share is not None:
            here = share.counts(self._shares.now)
            self._left = [
                share.most_files - share.files + self._counted[0] if here else 0,
                share.most_octets - share.octets + self._counted[1],
            ]
