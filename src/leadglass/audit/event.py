"""What the audit log records: one event for each decision."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Self

from leadglass.policy.caller import Caller


class Outcome(StrEnum):
    """How a decision or an act ended."""

    PERMITTED = "permitted"
    """The policy said yes; recorded before the act."""
    REFUSED = "refused"
    """Somebody was turned away, by the policy or before any policy was asked."""
    DONE = "done"
    """A closing record: what the act came to (counts)."""
    FAILED = "failed"
    """The act was permitted and did not succeed."""
    ALERT = "alert"
    """Something the operator should look at."""


@dataclass(frozen=True, slots=True)
class Event:
    """One record. No patient data: studies by UID, never names or Patient IDs.

    Parameters
    ----------
    outcome : Outcome
        How it ended.
    action : str
        What was asked: an ``Action``'s word, or ``connect``, ``associate``, ``start``, …
    caller : str
        ``str(Caller)``, or empty when nobody was identified.
    peer : str
        IP address, or ``local``.
    door : str
        ``dimse``, ``cli``, ``system``.
    reason : str
        Why; for refusals the reason the stranger does not get to hear.
    study_uid : str
        The study it is about, where it is about one.
    session : str
        Id of the association or command.
    detail : mapping of str to str or int
        More, in few words: claimed AE title, counts, keys asked for.
    """

    outcome: Outcome
    action: str
    caller: str = ""
    peer: str = ""
    door: str = ""
    reason: str = ""
    study_uid: str = ""
    session: str = ""
    detail: Mapping[str, str | int] = field(default_factory=dict[str, str | int])

    @classmethod
    def of(
        cls,
        caller: Caller,
        outcome: Outcome,
        action: str,
        reason: str,
        *,
        door: str,
        study_uid: str = "",
        detail: Mapping[str, str | int] | None = None,
    ) -> Self:
        """Make the event of somebody who is identified."""
        return cls(
            outcome, action, str(caller), caller.peer, door, reason, study_uid, caller.session, dict(detail or {})
        )
