"""Standing: how a finding is followed until it is closed, as a state machine without a database.

Rule 1. Runs move a finding by what they prove, people by what they say; what people
say to be fixed is fixed when a run that looked there did not find it. Rule 2. What is
accepted is accepted until a day. Rule 3. What came back says so for as long as it is there.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from typing import Final

from leadglass.errors import Conflict


class Standing(StrEnum):
    """Where a finding stands."""

    OPEN = "open"
    """Found, and nobody was told."""
    TOLD = "told"
    """Its owner knows."""
    FIXED_UNVERIFIED = "fixed-unverified"
    """Somebody says that it is closed; no run has looked since."""
    FIXED_VERIFIED = "fixed-verified"
    """A run looked there and did not find it."""
    GONE = "gone"
    """Not found any more, and nobody was told or said to have closed it."""
    REGRESSED = "regressed"
    """It was closed or gone, and is back."""
    ACCEPTED = "accepted"
    """Somebody took the risk upon themselves, until a day."""


CLOSED: Final = frozenset({Standing.FIXED_VERIFIED, Standing.GONE})
"""Where nothing is to be done."""

TO_RETEST: Final = frozenset({Standing.OPEN, Standing.TOLD, Standing.FIXED_UNVERIFIED, Standing.REGRESSED})
"""Where a re-test looks."""

AFTER_DAYS: Final = (7, 30, 60)
"""Days after which is looked again; 60 is the press's interval, and that of the breach rule."""

HALF_A_YEAR: Final = 182
"""Days from one look to the next, afterwards."""

LONGEST_ACCEPTED: Final = timedelta(days=366)
"""How long a risk may be accepted in one go."""


def seen(standing: Standing) -> Standing:
    """Say where a finding stands that a run made again."""
    match standing:
        case Standing.FIXED_VERIFIED | Standing.GONE:
            return Standing.REGRESSED
        case Standing.FIXED_UNVERIFIED:
            return Standing.TOLD  # its owner knows of it, and what was done did not close it
        case Standing.OPEN | Standing.TOLD | Standing.REGRESSED | Standing.ACCEPTED:
            return standing


def missed(standing: Standing) -> Standing:
    """Say where a finding stands that a run did not make, though it looked."""
    match standing:
        case Standing.TOLD | Standing.FIXED_UNVERIFIED | Standing.REGRESSED:
            return Standing.FIXED_VERIFIED
        case Standing.OPEN | Standing.ACCEPTED:
            return Standing.GONE
        case Standing.FIXED_VERIFIED | Standing.GONE:
            return standing


def told(standing: Standing) -> Standing:
    """Say where a finding stands whose owner was told; raises ``Conflict``."""
    if standing in CLOSED:
        raise Conflict(f"It is {standing}: there is nothing to tell of.")
    if standing is Standing.FIXED_UNVERIFIED:
        raise Conflict("It is said to be fixed already. Look again with: leadglass survey retest")
    return Standing.TOLD


def fixed(standing: Standing) -> Standing:
    """Say where a finding stands that somebody says to be fixed; raises ``Conflict``."""
    if standing in CLOSED:
        raise Conflict(f"It is {standing} already.")
    return Standing.FIXED_UNVERIFIED


def accepted(standing: Standing, until: date, today: date) -> Standing:
    """Say where a finding stands that somebody accepts until a day; raises ``Conflict``."""
    if standing in CLOSED:
        raise Conflict(f"It is {standing}: there is nothing to accept.")
    if not today < until <= today + LONGEST_ACCEPTED:
        raise Conflict("A risk is accepted until a day to come, at most a year ahead.")
    return Standing.ACCEPTED


def expired(standing: Standing, until: date | None, today: date) -> Standing:
    """Say where a finding stands on a day: what was accepted until an earlier one is open."""
    return Standing.OPEN if standing is Standing.ACCEPTED and (until is None or until < today) else standing


@dataclass(frozen=True, slots=True)
class Schedule:
    """When is looked again.

    Parameters
    ----------
    since : date
        The day from which is counted: found, told, or back.
    looked : date
        When a run last looked.
    """

    since: date
    looked: date

    def due(self, standing: Standing) -> date | None:
        """Give the day, None where nothing is to be looked at.

        What is said to be fixed is looked at at once; else 7, 30 and 60 days after,
        then half-yearly.
        """
        if standing not in TO_RETEST:
            return None
        if standing is Standing.FIXED_UNVERIFIED:
            return self.since
        for days in AFTER_DAYS:
            if self.since + timedelta(days=days) > self.looked:
                return self.since + timedelta(days=days)
        last = self.since + timedelta(days=AFTER_DAYS[-1])
        return last + timedelta(days=HALF_A_YEAR * ((self.looked - last).days // HALF_A_YEAR + 1))
