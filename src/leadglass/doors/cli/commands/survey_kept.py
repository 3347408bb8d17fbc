"""What is kept of surveys, for the commands that read it, and how they write a file."""

import os
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex

from leadglass.errors import Misconfigured, NotHere
from leadglass.survey.state import FILE, State, folder_of


@contextmanager
def surveyed(scope_file: Path) -> Generator[State]:
    """Open what is known of a scope; raises ``NotHere`` where nothing was surveyed yet."""
    folder = folder_of(scope_file)
    if not (folder / FILE).is_file():
        raise NotHere(f"No survey was made yet. Make one: leadglass survey run {scope_file}")
    with State(folder) as state:
        yield state


def write_private(path: Path, text: str) -> None:
    """Write a file for its owner alone, whole or not at all."""
    draft = path.with_name(f".{path.name}.{token_hex(4)}")
    try:
        with os.fdopen(
            os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8", newline=""
        ) as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        with suppress(OSError):
            draft.unlink()
        raise Misconfigured(f"{path} cannot be written ({error.strerror}). Name another file.") from error
