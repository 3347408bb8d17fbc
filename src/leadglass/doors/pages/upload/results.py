"""What became of what was sent, in words for people and for the script of the page.

Rule: a reason says what was wrong, then what to do; what the archive tells nobody
on the web (``problem.TABLE``) is not told here either.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from leadglass.dicom.sop_classes import MEDIA_STORAGE_DIRECTORY
from leadglass.doors.dicomweb.stow_response import Became, Failed
from leadglass.doors.importing import Fate, Tally, fate_of
from leadglass.doors.web.problem import TABLE
from leadglass.errors import Conflict, Kind, LeadglassError

MOST_NAMED: Final = 1_000
"""Members of one ZIP that are named with their reasons; what is beyond is counted."""

_LONGEST: Final = 200
"""Characters of a name that are shown."""

_AGAIN: Final = frozenset({Kind.BUSY, Kind.THROTTLED})


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one file.

    Parameters
    ----------
    name : str
        As its sender calls it; a member of a ZIP behind an exclamation mark.
    fate : Fate
        What became of it.
    reason : str
        Why, where it was not stored.
    study : str
        The study that it is of; empty where nobody knows.
    octets : int
        Bytes of its data set.
    again : bool
        Whether sending it again later may help.
    """

    name: str
    fate: Fate
    reason: str = ""
    study: str = ""
    octets: int = 0
    again: bool = False

    @property
    def key(self) -> str:
        """What became of it, as programs read it."""
        return key_of(self.fate)


@dataclass(frozen=True, slots=True)
class Unpacked:
    """What became of a ZIP.

    Parameters
    ----------
    name : str
        As its sender calls it.
    counts : dict of str to int
        How many members met which fate.
    studies : tuple of str
        Which studies those are of that went in.
    octets : int
        Bytes of their data sets.
    not_taken : tuple of Result
        Members that did not go in, as many as are named.
    """

    name: str
    counts: dict[str, int]
    studies: tuple[str, ...]
    octets: int
    not_taken: tuple[Result, ...]


Outcome = Result | Unpacked


def shown_name(name: str) -> str:
    """Give a name that can be shown: without what controls a terminal or turns text around, and not endless."""
    plain = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in name)
    return plain if len(plain) <= _LONGEST else f"{plain[:80]}…{plain[-80:]}"


def result_of(name: str, became: Became) -> Result:
    """Say what became of a file that was handed to the archive."""
    name = shown_name(name)
    if not isinstance(became, Failed):
        receipt = became.receipt
        fate = fate_of(receipt) if receipt is not None else Fate.STORED
        return Result(name, fate, study=became.study_uid, octets=receipt.size if receipt is not None else 0)
    if became.sop_class_uid == MEDIA_STORAGE_DIRECTORY:
        return Result(name, Fate.SKIPPED, "media directory")
    return refused(name, became.error)


def refused(name: str, error: LeadglassError | None) -> Result:
    """Say why a file was not taken."""
    if error is None:
        return Result(name, Fate.REFUSED, "It cannot be taken in.")
    kind = error.kind
    tells = TABLE[kind].tells or kind is Kind.FULL
    reason = error.message if tells else f"{TABLE[kind].title}."
    fate = Fate.IN_CONFLICT if isinstance(error, Conflict) else Fate.REFUSED
    return Result(name, fate, reason, again=kind in _AGAIN)


def unpacked(name: str, tally: Tally) -> Unpacked:
    """Say what became of the members of a ZIP."""
    return Unpacked(
        shown_name(name),
        {key_of(fate): count for fate in Fate if (count := tally.counts[fate])},
        tuple(sorted(tally.studies)),
        tally.octets,
        tuple(
            Result(shown_name(missing.name), missing.fate, missing.reason)
            for missing in sorted(tally.not_taken, key=lambda each: each.fate is Fate.SKIPPED)[:MOST_NAMED]
        ),
    )


def key_of(fate: Fate) -> str:
    """Give a fate as programs read it."""
    return {Fate.WAITING: "waiting", Fate.IN_CONFLICT: "kept_aside", Fate.ALREADY_THERE: "already_here"}.get(
        fate, fate.value
    )


def as_json(outcomes: Sequence[Outcome]) -> dict[str, object]:
    """Give the answer for programs."""
    return {"files": [_one(each) for each in outcomes]}


def _one(outcome: Outcome) -> dict[str, object]:
    if isinstance(outcome, Unpacked):
        return {
            "name": outcome.name,
            "became": "unpacked",
            "counts": outcome.counts,
            "studies": list(outcome.studies),
            "octets": outcome.octets,
            "not_taken": [_one(each) for each in outcome.not_taken],
        }
    said: dict[str, object] = {"name": outcome.name, "became": key_of(outcome.fate)}
    if outcome.reason:
        said["reason"] = outcome.reason
    if outcome.study:
        said["study"] = outcome.study
    if outcome.octets:
        said["octets"] = outcome.octets
    if outcome.again:
        said["again"] = True
    return said


@dataclass(frozen=True, slots=True)
class Summary:
    """What an upload came to, for the page that is shown without scripts."""

    counts: dict[str, int]
    studies: tuple[str, ...]
    rows: tuple[Result, ...]
    """What is named: files one by one, members of ZIPs that did not go in."""


def summary_of(outcomes: Sequence[Outcome]) -> Summary:
    """Put together what became of everything."""
    counts: dict[str, int] = {}
    studies: dict[str, None] = {}
    rows: list[Result] = []
    for each in outcomes:
        if isinstance(each, Unpacked):
            for key, number in each.counts.items():
                counts[key] = counts.get(key, 0) + number
            studies.update(dict.fromkeys(each.studies))
            rows += each.not_taken
        else:
            counts[key_of(each.fate)] = counts.get(key_of(each.fate), 0) + 1
            studies.update({each.study: None} if each.study else {})
            rows.append(each)
    return Summary(counts, tuple(studies), tuple(rows[:MOST_NAMED]))
