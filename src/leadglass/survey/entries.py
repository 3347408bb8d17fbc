"""Entries: what the register holds, as plain values: findings as they are followed, whose they are, what was said.

Rule: what people write is one printable line.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime
from ipaddress import ip_address
from typing import Final

from leadglass.errors import BadInput
from leadglass.survey.findings import Exposure, Severity
from leadglass.survey.scope import Address, Network
from leadglass.survey.standing import Schedule, Standing

_LONGEST_TEXT: Final = 200


@dataclass(frozen=True, slots=True)
class Asset:
    """Whose an endpoint is.

    Parameters
    ----------
    network : network
        An address or a network; the narrowest holds.
    port : int
        0 for every port.
    unit, owner, contact : str
        Which part of the house, who answers for it, and how to reach them.
    """

    network: Network
    port: int
    unit: str = ""
    owner: str = ""
    contact: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """One finding as it is followed.

    Parameters
    ----------
    finding, vantage : str
        Which, and seen from where.
    check, address, port, transport, title : str and int
        Of the finding as last made.
    exposure, worst : Exposure
        As last seen, and the most it ever was.
    severity : Severity
        As last seen.
    standing : Standing
        Where it stands.
    since, looked : date
        From when re-tests are counted; when a run last looked.
    first_seen, last_seen : date
        When it was found first and last.
    accepted_until : date or None
        The last day of an acceptance.
    reason : str
        Of the acceptance.
    said : str
        When somebody last said it to be fixed (ISO 8601), else empty.
    run : int
        Number of the run that was last concluded on it.
    """

    finding: str
    vantage: str
    check: str
    address: str
    port: int
    transport: str
    title: str
    exposure: Exposure
    worst: Exposure
    severity: Severity
    standing: Standing
    since: date
    looked: date
    first_seen: date
    last_seen: date
    accepted_until: date | None = None
    reason: str = ""
    said: str = ""
    run: int = 0

    @property
    def due(self) -> date | None:
        """When it is looked at again."""
        return Schedule(self.since, self.looked).due(self.standing)


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a finding.

    Parameters
    ----------
    at : datetime
        When.
    was, became : str
        From where to where.
    by, note : str
        Who, and what they said.
    """

    at: datetime
    was: str
    became: str
    by: str
    note: str


@dataclass(frozen=True, slots=True)
class Notice:
    """When an owner was told of a finding that is not closed since.

    Parameters
    ----------
    first, last : date
        The first and the newest day.
    count : int
        On how many days.
    """

    first: date
    last: date
    count: int

    @property
    def remind(self) -> date:
        """When they are reminded: 7, 30 and 60 days after the first notice, then half-yearly."""
        return Schedule(self.first, self.last).due(Standing.TOLD) or self.last


@dataclass(frozen=True, slots=True)
class Tally:
    """What a run changed; *new* and *gone* are never subtracted from one another.

    Parameters
    ----------
    new, back, gone, still : int
        Found for the first time; closed before and back; found no more; found again.
    """

    new: int = 0
    back: int = 0
    gone: int = 0
    still: int = 0


def owner_of(assets: Iterable[Asset], address: str, port: int) -> Asset | None:
    """Give whose an endpoint is, of assets with the narrowest first."""
    if not address:
        return None
    at: Address = ip_address(address)
    merged: Asset | None = None
    for each in assets:
        if at.version == each.network.version and at in each.network and each.port in {0, port}:
            merged = (
                each
                if merged is None
                else replace(
                    merged,
                    unit=merged.unit or each.unit,
                    owner=merged.owner or each.owner,
                    contact=merged.contact or each.contact,
                )
            )
    return merged


def line(text: str, what: str) -> str:
    """Take what a person wrote; raises ``BadInput`` where it is no printable line."""
    text = text.strip()
    if len(text) > _LONGEST_TEXT or not text.isprintable():
        raise BadInput(f"{what} is one line of at most {_LONGEST_TEXT} printable characters.")
    return text
