"""Scoring: a CVSS 4.0 base vector for a finding, for tools that sort by one; severity is the ladder's, not this.

Rule 1. A vector says what a stranger gains by what was proved, and nothing of what was
not tried: that counts as none. Rule 2. What turns strangers away, what is a sign only,
and what follows from a version has none: of a known flaw its own record has one.
Rule 3. From the internet the way is the network; from inside or a partner's line it is
the adjacent zone, as the specification has it (3.1.1: a limited administrative domain).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from leadglass.survey.findings import Exposure, Finding
from leadglass.survey.scope import Vantage

VERSION: Final = "4.0"


@dataclass(frozen=True, slots=True)
class Score:
    """A score.

    Parameters
    ----------
    vector : str
        The base vector.
    score : float
        What it comes to (CVSS-B).
    """

    vector: str
    score: float


_TALKS: Final = "AC:L/AT:N/PR:N/UI:N/VC:L/VI:N/VA:N/SC:N/SI:N/SA:N"
"""It makes an association, or grants services: what it says of itself is learnt."""
_READS: Final = "AC:L/AT:N/PR:N/UI:N/VC:H/VI:N/VA:N/SC:N/SI:N/SA:N"
"""Who is in the archive, or images: all of that is read."""
_SIGNS_IN: Final = "AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N"
"""A blank or published password: whoever has it is the account's owner."""
_LISTENS: Final = "AC:L/AT:P/PR:N/UI:N/VC:H/VI:H/VA:N/SC:N/SI:N/SA:N"
"""Unencrypted: who is on the line reads and changes it."""
_OVERHEARS_PEOPLE: Final = "AC:L/AT:P/PR:N/UI:P/VC:H/VI:H/VA:N/SC:N/SI:N/SA:N"
"""Likewise, when somebody signs in."""
_BREAKS: Final = "AC:H/AT:P/PR:N/UI:N/VC:H/VI:N/VA:N/SC:N/SI:N/SA:N"
"""Weakly encrypted: who is on the line, and overcomes that, reads it."""

SCORES: Final[Mapping[str, tuple[float, float]]] = {
    _TALKS: (6.9, 5.3),
    _READS: (8.7, 7.1),
    _SIGNS_IN: (9.3, 8.7),
    _LISTENS: (9.1, 7.6),
    _OVERHEARS_PEOPLE: (7.6, 7.4),
    _BREAKS: (8.2, 6.0),
}
"""What each comes to: over the network, and from an adjacent zone."""

_UNSCORED: Final = frozenset({"dicom-version", "dicom-honeypot", "http-identify", "greeting"})

_BY_CHECK: Final = {
    "web-credentials": _SIGNS_IN,
    "portal-in-clear": _OVERHEARS_PEOPLE,
    "dicom-clear": _LISTENS,
    "dicom-certificate": _BREAKS,
}


def score_of(finding: Finding, vantage: str) -> Score | None:
    """Give the score of a finding, seen from somewhere; None where a vector would say more than was proved."""
    metrics = _metrics(finding)
    if metrics is None:
        return None
    is_far = vantage == Vantage.INTERNET
    return Score(f"CVSS:{VERSION}/AV:{'N' if is_far else 'A'}/{metrics}", SCORES[metrics][0 if is_far else 1])


def _metrics(finding: Finding) -> str | None:
    if finding.inferred or finding.check in _UNSCORED or finding.exposure is Exposure.E0:
        return None
    if finding.check in _BY_CHECK:
        return _BY_CHECK[finding.check]
    if finding.check == "dicom-tls":
        proof = finding.proof
        is_weak = "yes" in {proof.get("old_versions"), proof.get("weak_suites")} or "none" in str(proof.get("newest"))
        return _BREAKS if is_weak else None
    if finding.exposure >= Exposure.E3:
        return _READS
    return _TALKS if finding.exposure is Exposure.E2 else None
