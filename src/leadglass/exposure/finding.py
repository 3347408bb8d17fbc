"""Findings: what a check is, and what it says when something is not as it should be.

Rule 1. A check is a plain function of the facts: it looks at nothing else and asks
nobody. Rule 2. A finding says what is so, why that matters and what to do, in words
for whoever runs a clinic's machines; it names devices and accounts, never patients.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import Final

from leadglass.exposure.facts import Facts


class Severity(StrEnum):
    """How bad it is."""

    OK = "ok"
    """Looked at, and as it should be."""
    INFO = "info"
    """Worth knowing; nothing to mend."""
    LOW = "low"
    """Better otherwise; mend it when you are at it."""
    MEDIUM = "medium"
    """One of several walls is missing; mend it within weeks."""
    HIGH = "high"
    """Images or accounts may be got at, or lost; mend it within days."""
    CRITICAL = "critical"
    """They are open to whoever comes along; mend it now."""

    @property
    def rank(self) -> int:
        """Its place, from 0 (ok) on."""
        return list(Severity).index(self)

    def is_at_least(self, other: "Severity") -> bool:
        """Say whether it is as bad as another, or worse."""
        return self.rank >= other.rank


class Group(StrEnum):
    """What a check is about; the order is that of the page."""

    NETWORK = "Network"
    TRANSPORT = "Encryption on the way"
    DEVICES = "Devices"
    PEOPLE = "People"
    PROGRAMS = "Programs and links"
    KEEPING = "Keeping"
    TRAIL = "Audit log"
    MACHINE = "Machine"


@dataclass(frozen=True, slots=True)
class Fix:
    """What to do.

    Parameters
    ----------
    text : str
        In a sentence.
    command : str
        The command that does it, if one does.
    page : str
        The path of the page where it is done, if there is one.
    """

    text: str
    command: str = ""
    page: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """What a check found.

    Parameters
    ----------
    severity : Severity
        How bad it is.
    said : str
        What is so, in a sentence.
    fix : Fix
        What to do.
    subject : str
        Which device, account, door: what tells two findings of one check apart.
    """

    severity: Severity
    said: str
    fix: Fix
    subject: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """One check.

    Parameters
    ----------
    id : str
        Its word: stable, in lower case, with hyphens.
    group : Group
        What it is about.
    title : str
        What it finds, in few words.
    meaning : str
        Why that matters.
    worst : Severity
        The worst that it can find.
    rules : tuple of str
        What asks for it: ``PS3.15 B.12``, ``HIPAA 164.312(e)(1)``, ``GDPR 32(1)(b)``.
    look : callable
        Gives what it finds in the facts.
    """

    id: str
    group: Group
    title: str
    meaning: str
    worst: Severity
    rules: tuple[str, ...]
    look: Callable[[Facts], Iterable[Found]]


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found, with what is known of its check.

    Parameters
    ----------
    check : str
        The check's word.
    subject : str
        Which device, account, door.
    severity : Severity
        How bad it is.
    group : Group
        What it is about.
    title, said, meaning : str
        What it is, what is so, and why that matters.
    fix : Fix
        What to do.
    rules : tuple of str
        What asks for it.
    """

    check: str
    subject: str
    severity: Severity
    group: Group
    title: str
    said: str
    meaning: str
    fix: Fix
    rules: tuple[str, ...]

    @property
    def key(self) -> str:
        """What it is known by from one run to the next: the check and a digest of the subject."""
        if not self.subject:
            return self.check
        return f"{self.check}.{sha256(self.subject.encode('utf-8', 'backslashreplace')).hexdigest()[:12]}"


_PLAIN: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./-]*")


def as_word(name: str, otherwise: str) -> str:
    """Give a name as a word of a command, or another in its place when a shell would make something else of it."""
    return name if _PLAIN.fullmatch(name) else otherwise


MOST_OF_ONE_CHECK: Final = 50
"""Findings of one check that are told apart; how many more there are is said in one more."""


def examine(facts: Facts, checks: Iterable[Check]) -> tuple[Finding, ...]:
    """Give what the checks find, the worst first, then in the order of the checks."""
    found: list[Finding] = []
    for check in checks:
        of_check = sorted(check.look(facts), key=lambda each: -each.severity.rank)
        kept, left = of_check[:MOST_OF_ONE_CHECK], of_check[MOST_OF_ONE_CHECK:]
        if left:
            said = f"There are {len(left)} more of this kind; they are listed once those above are mended."
            kept.append(Found(left[0].severity, said, left[0].fix, "and more"))
        found += [_finding(check, each) for each in kept]
    return tuple(sorted(found, key=lambda each: -each.severity.rank))


def _finding(check: Check, found: Found) -> Finding:
    return Finding(
        check=check.id,
        subject=found.subject,
        severity=found.severity,
        group=check.group,
        title=check.title,
        said=found.said,
        meaning=check.meaning,
        fix=found.fix,
        rules=check.rules,
    )
