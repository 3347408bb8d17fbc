"""Findings: what was proved of an endpoint, how far up the ladder, and how bad that is.

Rule 1. A finding holds our own words, numbers and names from our own tables;
nothing that a peer said goes through unless a table knows it. Rule 2. It says what
was not tested. Rule 3. The same thing found again has the same id.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Final

from leadglass.survey.scope import Address, Vantage


class Exposure(IntEnum):
    """The ladder."""

    E0 = 0
    """Unreachable."""
    E1 = 1
    """Something medical answers, and turns strangers away."""
    E2 = 2
    """It makes an association with anybody."""
    E3 = 3
    """It answers anybody's questions."""
    E4 = 4
    """Images, pages or files can be read by anybody, or put there."""
    E5 = 5
    """And there are records."""


class Severity(StrEnum):
    """How bad."""

    INFO = "info"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


_ORDER: Final = tuple(Severity)

_FROM_THE_INTERNET: Final = {
    Exposure.E0: Severity.INFO,
    Exposure.E1: Severity.MEDIUM,
    Exposure.E2: Severity.HIGH,
    Exposure.E3: Severity.HIGH,
    Exposure.E4: Severity.CRITICAL,
    Exposure.E5: Severity.CRITICAL,
}

_STEPS_DOWN: Final = {Vantage.INTERNET: 0, Vantage.PARTNER: 1, Vantage.INTERNAL: 2}


def severity_of(
    exposure: Exposure,
    vantage: Vantage,
    *,
    in_clear: bool = False,
    default_credential: bool = False,
    password_in_clear: bool = False,
) -> Severity:
    """Say how bad an exposure is, seen from somewhere.

    Parameters
    ----------
    exposure : Exposure
        How far up the ladder.
    vantage : Vantage
        From where.
    in_clear : bool
        Whether what is read crosses the network unencrypted: one worse.
    default_credential : bool
        Whether a blank or default credential opened it: critical, wherever from.
    password_in_clear : bool
        Whether passwords cross the network unencrypted: one worse, also where strangers are turned away.
    """
    if exposure is Exposure.E0:
        return Severity.INFO
    if default_credential:
        return Severity.CRITICAL
    step = _ORDER.index(_FROM_THE_INTERNET[exposure]) - _STEPS_DOWN[vantage]
    if (exposure >= Exposure.E2 and in_clear) or password_in_clear:
        step += 1
    least = Severity.LOW if exposure >= Exposure.E2 or password_in_clear else Severity.INFO
    return _ORDER[min(max(step, _ORDER.index(least)), len(_ORDER) - 1)]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was proved.

    Parameters
    ----------
    check : str
        The id of the check.
    address, port : address and int
        The endpoint; port 0 where it is about a file and no network.
    transport : str
        ``tcp`` or ``tls``; ``file`` for configuration files.
    title : str
        What it is, in a sentence of ours.
    exposure : Exposure
        How far up the ladder it goes.
    severity : Severity
        How bad it is, from where one looked.
    proof : mapping of str to str or int
        What shows it: status codes, counts, names from our tables.
    not_tested : tuple of str
        What was not tried, and why.
    fixes : tuple of str
        Ids of recipes, the best first.
    controls : tuple of str
        What asks for it: ``PS3.15 B.12``, ``HIPAA 164.312(e)(1)``, …
    inferred : bool
        Whether it follows from a version and was not tried.
    """

    check: str
    address: Address | None
    port: int
    transport: str
    title: str
    exposure: Exposure
    severity: Severity
    proof: Mapping[str, str | int] = field(default_factory=dict[str, str | int])
    not_tested: tuple[str, ...] = ()
    fixes: tuple[str, ...] = ()
    controls: tuple[str, ...] = ()
    inferred: bool = False

    @property
    def id(self) -> str:
        """What it is called: the same each time it is found."""
        said = f"{self.check}\0{self.address}\0{self.transport}\0{self.port}"
        return hashlib.sha256(said.encode()).hexdigest()[:20]
