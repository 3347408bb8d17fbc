"""One record of the audit log: its canonical bytes, and how it is shown to people.

Rule 1. The bytes are JSON with sorted keys, no white space and UTF-8, and they
are what is hashed: whoever holds them can check them. Rule 2. A field may be
hostile (a claimed AE title, a peer's words): it is cut to a bound on the way in
and stripped of its power over terminals on the way out. Rule 3. Every record
carries the tree hash of all records before it, so none can change alone.
"""

import json
from base64 import b64encode
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import msgspec

from leadglass.audit.event import Event, Outcome
from leadglass.errors import Corrupt

MAX_TEXT: Final = 2_048
"""Characters kept of one field: a reason is a sentence or two."""

MAX_DETAILS: Final = 32
"""Details kept of one event."""

Fields = dict[str, str | dict[str, str | int]]


class _Body(msgspec.Struct, forbid_unknown_fields=True):
    """What a record's bytes hold."""

    sequence: int
    time: str
    before: str
    outcome: Outcome
    action: str
    caller: str = ""
    peer: str = ""
    door: str = ""
    reason: str = ""
    study_uid: str = ""
    session: str = ""
    detail: dict[str, str | int] = {}


@dataclass(frozen=True, slots=True)
class Record:
    """One record, read back.

    Parameters
    ----------
    sequence : int
        Its number; the first record is 1.
    time : datetime
        When it was written (UTC).
    before : str
        Merkle tree hash over all records before it, in base64.
    event : Event
        What happened.
    """

    sequence: int
    time: datetime
    before: str
    event: Event

    def to_json(self) -> dict[str, str | int | dict[str, str | int]]:
        """Give the record for machines; empty fields are left out."""
        body: dict[str, str | int | dict[str, str | int]] = {"sequence": self.sequence, "time": to_text(self.time)}
        return body | fields_of(self.event)

    def to_line(self) -> str:
        """Give the record as one line for people, with nothing in it that a terminal would obey."""
        event = self.event
        parts = [str(self.sequence), to_text(self.time), event.outcome.value, escape(event.action)]
        parts += [escape(text) for text in (event.caller or "-", event.peer or "-", event.door or "-")]
        if event.study_uid:
            parts.append(f"study={escape(event.study_uid)}")
        parts += [f"{escape(key)}={escape(str(value))}" for key, value in event.detail.items()]
        return "  ".join([*parts, escape(event.reason)]).rstrip()


def escape(text: str) -> str:
    """Write out what is not plainly visible (control characters, direction marks, …) as Python escapes.

    Doing it twice changes nothing: it is for showing, not for reading back.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def to_text(time: datetime) -> str:
    """Write a time in UTC with microseconds: sorts as text."""
    return time.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def fields_of(event: Event) -> Fields:
    """Give what a record keeps of an event: bounded, encodable, empty fields left out."""
    fields: Fields = {
        "outcome": event.outcome.value,
        "action": _bounded(event.action),
        "caller": _bounded(event.caller),
        "peer": _bounded(event.peer),
        "door": _bounded(event.door),
        "reason": _bounded(event.reason),
        "study_uid": _bounded(event.study_uid),
        "session": _bounded(event.session),
        "detail": {
            _bounded(key): _bounded(value) if isinstance(value, str) else int(value)
            for key, value in list(event.detail.items())[:MAX_DETAILS]
            if value != ""
        },
    }
    return {key: value for key, value in fields.items() if value or key == "action"}


def encode(fields: Fields, sequence: int, time: datetime, before: bytes) -> str:
    """Give the canonical JSON of a record.

    Parameters
    ----------
    fields : dict
        From ``fields_of``.
    sequence : int
        Its number.
    time : datetime
        When it is written.
    before : bytes
        Merkle tree hash over all records before it.
    """
    body = {"sequence": sequence, "time": to_text(time), "before": b64encode(before).decode(), **fields}
    return json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def decode(text: str) -> Record:
    """Read a record; raises ``Corrupt`` when it is none."""
    try:
        body = msgspec.json.decode(text.encode("utf-8", "surrogatepass"), type=_Body)
        time = datetime.fromisoformat(body.time)
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError):
        raise Corrupt("The audit log holds a record that cannot be read. Run `leadglass audit verify`.") from None
    event = Event(
        outcome=body.outcome,
        action=body.action,
        caller=body.caller,
        peer=body.peer,
        door=body.door,
        reason=body.reason,
        study_uid=body.study_uid,
        session=body.session,
        detail=body.detail,
    )
    return Record(body.sequence, time, body.before, event)


def _bounded(text: str) -> str:
    """Cut a text to its bound, and make it encodable (a lone surrogate is not)."""
    if len(text) > MAX_TEXT:
        text = text[: MAX_TEXT - 1] + "…"
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
