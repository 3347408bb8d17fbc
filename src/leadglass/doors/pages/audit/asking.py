"""Asking: what somebody typed to find records, read and bounded."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from leadglass.audit.event import Outcome
from leadglass.audit.reading import Selection
from leadglass.audit.record import escape
from leadglass.doors.pages.audit.words import ACTIONS, DOORS
from leadglass.errors import BadInput

LONGEST: Final = 256
TO_LOOK_AT: Final = "look"
"""The word for refusals, failures and alerts together."""

FIELDS: Final = ("since", "until", "caller", "action", "outcome", "door", "peer", "study", "patient")


@dataclass(frozen=True, slots=True)
class Search:
    """What was typed, and what it means.

    Parameters
    ----------
    typed : mapping of str to str
        The form's fields; one of them may be a Patient ID.
    selection : Selection
        Which records.
    studies : int, optional
        How many studies a patient has that was asked about.
    """

    typed: Mapping[str, str]
    selection: Selection
    studies: int | None = None


def typed(fields: Mapping[str, str]) -> dict[str, str]:
    """Give what was typed into the form, bounded.

    Raises
    ------
    BadInput
        When something is too long.
    """
    found = {name: fields.get(name, "").strip() for name in FIELDS}
    if any(len(value) > LONGEST for value in found.values()):
        raise BadInput(f"Each field has at most {LONGEST} characters.")
    return {name: value for name, value in found.items() if value}


def selection_of(fields: Mapping[str, str]) -> Selection:
    """Give which records are meant, but for the patient.

    Raises
    ------
    BadInput
        With what cannot be read.
    """
    word = fields.get("outcome", "")
    if word not in {"", TO_LOOK_AT, *Outcome}:
        raise BadInput("An outcome is permitted, done, refused, failed or alert.")
    for name, known in (("action", ACTIONS), ("door", DOORS)):
        asked = fields.get(name, "")
        if asked and asked not in known:
            # Not "no record meets this": who reads that believes that it did not happen.
            raise BadInput(f"There is no {name} called {escape(asked[:64])}. It is one of {', '.join(known)}.")
    since, until = _moment(fields.get("since", "")), _moment(fields.get("until", ""))
    if since is not None and until is not None and until <= since:
        raise BadInput("The end of the time is before its beginning.")
    return Selection(
        since=since,
        until=until,
        action=fields.get("action") or None,
        outcome=Outcome(word) if word and word != TO_LOOK_AT else None,
        caller=fields.get("caller") or None,
        study_uid=fields.get("study") or None,
        peer=fields.get("peer") or None,
        door=fields.get("door") or None,
        is_to_look_at=word == TO_LOOK_AT,
    )


def of_patient(selection: Selection, studies: list[str]) -> Selection:
    """Narrow a selection to a patient's studies."""
    return replace(selection, study_uids=tuple(studies))


def _moment(text: str) -> datetime | None:
    """Read a time as a browser's field gives it; in UTC, as the log has it."""
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise BadInput("A time is written like 2026-11-22 08:30, in UTC.") from None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
