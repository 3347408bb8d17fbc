"""The few kinds of error a Leadglass part may raise.

Rule: whatever goes wrong below a door reaches the door as one of these kinds.
Each door maps each kind to its own protocol exactly once, and a test walks
them all. The message is written for the person who has to act on it: it names
what was wrong and what to do, and never carries patient data.
"""

from enum import Enum
from typing import ClassVar


class Kind(Enum):
    """What happened, as far as a door has to know."""

    DENIED = "denied"
    """The policy said no."""
    NOT_HERE = "not here"
    """It does not exist, or not for this caller: one answer for both."""
    BAD_INPUT = "bad input"
    """What was sent cannot be understood or breaks a rule of the Standard."""
    CONFLICT = "conflict"
    """It contradicts what is stored; it was kept aside, nothing was overwritten."""
    BUSY = "busy"
    """A limit or a lock is in the way; the same request may succeed later."""
    THROTTLED = "throttled"
    """The caller was given as much as it is given in a time; later it may go on."""
    FULL = "full"
    """There is no room: disk, quota or a size limit."""
    CORRUPT = "corrupt"
    """What is stored fails its own check."""
    UNSUPPORTED = "unsupported"
    """Understood, and not something this archive can do (a codec, a service)."""
    MISCONFIGURED = "misconfigured"
    """The archive was told to run in a way that it refuses to."""


class LeadglassError(Exception):
    """Base of every error that crosses a border between parts.

    Parameters
    ----------
    message : str
        What was wrong, then what to do. No patient data.
    """

    kind: ClassVar[Kind]

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class Denied(LeadglassError):
    kind = Kind.DENIED


class NotHere(LeadglassError):
    kind = Kind.NOT_HERE


class BadInput(LeadglassError):
    kind = Kind.BAD_INPUT


class Conflict(LeadglassError):
    kind = Kind.CONFLICT


class Busy(LeadglassError):
    kind = Kind.BUSY


class NotAtHand(Busy):
    """It is not in memory, and was asked for by somebody who may wait for nothing: to be asked for again by who may."""

    def __init__(self) -> None:
        super().__init__("This is not in memory at the moment. Ask again.")


class Throttled(LeadglassError):
    """The caller reached a limit of its own.

    Parameters
    ----------
    message : str
        What was reached, and when to come back.
    retry_after : float
        Seconds until then; infinity when the wish itself is too large.
    """

    kind = Kind.THROTTLED

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Full(LeadglassError):
    kind = Kind.FULL


class Corrupt(LeadglassError):
    kind = Kind.CORRUPT


class Unsupported(LeadglassError):
    kind = Kind.UNSUPPORTED


class Misconfigured(LeadglassError):
    kind = Kind.MISCONFIGURED
