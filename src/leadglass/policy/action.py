"""The things a caller can ask for, as plain words."""

from enum import StrEnum


class Action(StrEnum):
    """What is asked. The value is the word used on the command line and in the audit log."""

    ECHO = "echo"
    STORE = "store"
    SUBMIT = "submit"
    """Hand in what waits in quarantine until somebody has looked at it; for who may not store."""
    FIND = "find"
    LOOK = "look"
    """See pictures that the archive draws, and no object of DICOM; for who may not get."""
    GET = "get"
    MOVE = "move"
    COMMIT = "commit"
    WORKLIST = "worklist"
    EXPORT = "export"
    DELETE = "delete"
    RESOLVE = "resolve"
    """Decide over an instance kept aside in quarantine."""
    VERIFY = "verify"
    """Re-read everything (fsck)."""
    AUDIT = "audit"
    """Read the audit log."""
    MANAGE = "manage"
    """Enrol, change or remove devices."""


DEVICE_ACTIONS = frozenset(
    {Action.ECHO, Action.STORE, Action.FIND, Action.GET, Action.MOVE, Action.COMMIT, Action.WORKLIST}
)
"""What a device can be granted (DESIGN: separation of duties)."""
