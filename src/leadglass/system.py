"""What several parts ask of the operating system, said once: the time, and that a folder is on stable storage."""

import os
from datetime import UTC, datetime
from pathlib import Path


def utc_now() -> datetime:
    """Give the time, with its zone."""
    return datetime.now(UTC)


def sync_folder(path: Path) -> None:
    """Bring a folder's entries to stable storage: what was made, renamed or removed in it; raises ``OSError``."""
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
