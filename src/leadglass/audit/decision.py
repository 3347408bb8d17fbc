"""Decisions on record: the policy is asked, and its answer is written before anybody acts on it or hears it."""

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager

from leadglass.audit.event import Event, Outcome
from leadglass.errors import Denied, LeadglassError
from leadglass.policy.action import Action
from leadglass.policy.caller import Caller
from leadglass.policy.permit import Permit, decide


def decide_on_record(
    record: Callable[[Event], object],
    caller: Caller,
    action: Action,
    *,
    door: str,
    detail: Mapping[str, str | int],
    yes: bool = True,
) -> Permit:
    """Decide over an action as such.

    Parameters
    ----------
    record : callable
        Puts an event on record, or raises: then nothing is permitted.
    caller : Caller
        Who asks.
    action : Action
        What is asked.
    door : str
        For the record.
    detail : mapping of str to str or int
        More of what is asked, likewise.
    yes : bool
        Whether a yes goes on record here; a no does in any case.

    Raises
    ------
    Denied
        After the no was recorded.
    """
    try:
        permit = decide(caller, action)
    except Denied as error:
        record(Event.of(caller, Outcome.REFUSED, action, error.message, door=door, detail=detail))
        raise
    if yes:
        record(Event.of(caller, Outcome.PERMITTED, action, permit.reason, door=door, detail=detail))
    return permit


@contextmanager
def failing_on_record(
    record: Callable[[Event], object],
    caller: Caller,
    action: str,
    *,
    door: str,
    detail: Mapping[str, str | int],
) -> Generator[None]:
    """Put on record that what was permitted failed, when the block does.

    Parameters
    ----------
    record, caller, action, door, detail
        As they were when it was permitted.
    """
    try:
        yield
    except BaseException as error:
        # The name of its kind: the text of what is none of ours may hold anything.
        reason = error.message if isinstance(error, LeadglassError) else type(error).__name__
        record(Event.of(caller, Outcome.FAILED, action, reason, door=door, detail=detail))
        raise
