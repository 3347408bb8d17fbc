"""Taking: how much may still come by a receive link, counted while it comes.

Rule. What is announced is counted before it is read; what a ZIP turns out to hold,
member by member, and it is left where the link's measure is full.
"""

from collections.abc import Sequence
from http import HTTPStatus

from leadglass.doors.pages.upload.results import Outcome, Unpacked
from leadglass.doors.web.problem import HttpFault
from leadglass.errors import Full
from leadglass.identity.shares import Shares


class Taking:
    """One request by a link that sends files (blocking; one thread at a time, members of a ZIP apart).

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
        self._length = length
        self._files = share.most_files - share.files + 1
        self._octets = share.most_octets - share.octets + length

    def member(self, octets: int) -> bool:
        """Count a member of a ZIP; says whether there is room for more."""
        self._files -= 1
        self._octets -= octets
        return self._files > 0 and self._octets > 0

    def settle(self, outcomes: Sequence[Outcome]) -> None:
        """Count what came, beyond what was announced."""
        files = octets = 0
        for each in outcomes:
            octets += each.octets
            files += sum(each.counts.values()) if isinstance(each, Unpacked) else 1
        self._shares.count(self._link, max(0, files - 1), max(0, octets - self._length))
