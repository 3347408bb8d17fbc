"""Passphrases at the command line: typed at a terminal without echo, or read from a file or descriptor.

Rule: never an argument and never an environment variable, which other users of
the machine can see.
"""

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

import click

from leadglass.crypto.keyfile import read_private
from leadglass.crypto.passphrase import require_good
from leadglass.crypto.sources import Passphrases
from leadglass.errors import BadInput, Misconfigured

_LONGEST: Final = 4_096
"""Bytes of a passphrase file."""


def passphrases(named: str | None) -> Passphrases | None:
    """Give where the archive's passphrase comes from; None when nobody can be asked.

    Parameters
    ----------
    named : str, optional
        A file, or the number of a descriptor; ``-`` for standard input.
    """
    if named is not None:
        return Passphrases(lambda _what: read_once(named), is_given=True)
    return Passphrases(_type, is_typed=True) if _is_terminal() else None


def new_passphrase(named: str | None, what: str, option: str) -> str:
    """Give a passphrase that is to be set, from a file, which ``option`` names, or typed twice.

    Raises
    ------
    BadInput
        When it is not good enough.
    Misconfigured
        When nobody can be asked.
    """
    if named is not None:
        return require_good(read_once(named))
    if not _is_terminal():
        raise Misconfigured(f"There is no terminal to ask for the new passphrase. Name a file that holds it: {option}.")
    while True:
        text = _type(what)
        try:
            require_good(text)
        except BadInput as error:
            click.echo(f"leadglass: {error.message}", err=True)
            continue
        if _type("The same again") == text:
            return text
        click.echo("leadglass: The two are not the same.", err=True)


def known_passphrase(named: str | None, what: str, option: str) -> str:
    """Give a passphrase that was set before; raises ``Misconfigured`` when nobody can be asked."""
    if named is not None:
        return read_once(named)
    if not _is_terminal():
        raise Misconfigured(f"There is no terminal to ask for the passphrase. Name a file that holds it: {option}.")
    return _type(what)


def read_once(named: str) -> str:
    """Read a passphrase: the first line of a file or descriptor.

    Raises
    ------
    Misconfigured
        When it cannot be read, or others can read it.
    """
    if named == "-" or (named.isascii() and named.isdigit()):
        data = _read_descriptor(0 if named == "-" else int(named))
    else:
        data = read_private(Path(named).expanduser(), "The passphrase file")
    line, _, rest = data.partition(b"\n")
    if rest.strip():
        raise Misconfigured("The passphrase file has more than one line. The passphrase is one line.")
    try:
        return line.removesuffix(b"\r").decode("utf-8")
    except UnicodeDecodeError:
        raise Misconfigured("The passphrase file is not text in UTF-8. Write it anew.") from None


def _read_descriptor(number: int) -> bytes:
    data = b""
    try:
        while len(data) < _LONGEST and (more := os.read(number, _LONGEST - len(data))):
            data += more
    except OSError as error:
        raise Misconfigured(
            f"The passphrase cannot be read from descriptor {number}: {error.strerror}. Open it for this command."
        ) from error
    if number > 2:
        with suppress(OSError):
            os.close(number)  # no child process inherits it
    return data


def _type(what: str) -> str:
    return str(click.prompt(what, hide_input=True, err=True, default="", show_default=False))


def _is_terminal() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()
