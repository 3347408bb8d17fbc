"""Cursor: how far the collector has the log, kept beside it so that no restart loses or forgets anything.

Rule: it is written whole or not at all, and only when the collector has confirmed.
"""

import os
from datetime import datetime
from pathlib import Path

import msgspec

from leadglass.errors import Full, Misconfigured
from leadglass.system import sync_folder


class Cursor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How far it is.

    Parameters
    ----------
    sequence : int
        The last record that the collector has confirmed.
    checkpoint : int
        Size of the newest signed head that it has confirmed.
    confirmed : datetime, optional
        When it last confirmed something.
    failing_since : datetime, optional
        Since when it is not reached.
    alerted : bool
        Whether that is on record.
    reason : str
        Why it is not reached.
    """

    sequence: int = 0
    checkpoint: int = 0
    confirmed: datetime | None = None
    failing_since: datetime | None = None
    alerted: bool = False
    reason: str = ""


def load(path: Path) -> Cursor:
    """Read a cursor; without one nothing was handed over yet.

    Raises
    ------
    Misconfigured
        When it is there and cannot be read.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=Cursor)
    except FileNotFoundError:
        return Cursor()
    except (OSError, msgspec.DecodeError) as error:
        raise Misconfigured(
            f"{path} cannot be read ({error}). Take it away: the collector then gets the whole log again, "
            "and can drop what it has by the records' numbers."
        ) from error


def save(path: Path, cursor: Cursor) -> None:
    """Write a cursor durably; raises ``Full``."""
    draft = path.with_name(f"{path.name}.draft")
    try:
        descriptor = os.open(draft, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.encode(cursor) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise Full(f"{path} cannot be written ({error.strerror}). Check the disk.") from error
