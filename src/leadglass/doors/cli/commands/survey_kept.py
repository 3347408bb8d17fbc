"""What is kept of surveys, for the commands that read it, and how they write a file."""

import os
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex

import click

from leadglass import languages
from leadglass.doors.cli.terminal import Terminal
from leadglass.errors import Misconfigured, NotHere
from leadglass.survey.state import FILE, State, folder_of

LANGUAGE = click.option(
    "--language",
    default=languages.ENGLISH,
    show_default=True,
    metavar="TAG",
    help="In which language, such as de; what there are no texts of is English.",
)


def language_of(terminal: Terminal, tag: str) -> str:
    """Give the language that is meant; says so where there are no texts in it."""
    found = languages.chosen(tag)
    if found == languages.ENGLISH and tag.lower().partition("-")[0] != languages.ENGLISH:
        terminal.tell(f"There are no texts in {tag!r}: it is in English. Languages: {', '.join(languages.known())}.")
    return found


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
