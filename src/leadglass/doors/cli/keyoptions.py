"""Options that say what is to open the archive key.

Rule: what makes no sense together is wrong usage (exit 2), before anything is asked or opened.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

import click

if TYPE_CHECKING:
    from leadglass.keyring import Target

F = TypeVar("F", bound=Callable[..., object])

_SOURCES: Final = ("file", "passphrase", "environment", "credential")


def target_options(to: str, at: str, *, is_needed: bool) -> Callable[[F], F]:
    """Add the options that say what is to open the key.

    Parameters
    ----------
    to, at : str
        What the two options are called: which source, and which file.
    is_needed : bool
        Whether the source has to be named.
    """

    def add(command: F) -> F:
        command = click.option(
            "--new-passphrase-file",
            metavar="FILE",
            help="Where the new passphrase is, if nobody is there to type it: a file, the number of an open "
            "descriptor, or - for standard input.",
        )(command)
        command = click.option(
            at,
            "file",
            type=click.Path(path_type=Path, dir_okay=False),
            metavar="FILE",
            help="With file: the key file to make outside of the data folder. With environment or credential: the "
            "file with the secret that will be handed over (leadglass key new).",
        )(command)
        return click.option(
            to,
            "source",
            type=click.Choice(_SOURCES),
            required=is_needed,
            help="What opens the archive key: a key file, a passphrase, the environment variable "
            "LEADGLASS_ARCHIVE_KEY, or the service manager's credential leadglass.archive.key."
            + ("" if is_needed else "  [default: file]"),
        )(command)

    return add


def target_of(source: str | None, file: Path | None, new_passphrase_file: str | None) -> "Target | None":
    """Give what the options say; None when they say nothing."""
    if source is None and file is None and new_passphrase_file is None:
        return None
    from leadglass.crypto.envelope import Source  # a help text must not wait for these
    from leadglass.doors.cli.passphrases import new_passphrase
    from leadglass.keyring import Target

    kind = Source(source or Source.FILE)
    if kind is Source.PASSPHRASE and file is not None:
        raise click.UsageError("A passphrase has no key file. Leave the file away, or name another source.")
    if kind is not Source.PASSPHRASE and new_passphrase_file is not None:
        raise click.UsageError("--new-passphrase-file goes with the source passphrase alone.")
    typed = (
        new_passphrase(new_passphrase_file, "New passphrase", "--new-passphrase-file")
        if kind is Source.PASSPHRASE
        else ""
    )
    return Target(kind, file, typed)
