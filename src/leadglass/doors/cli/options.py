"""Options that several commands share, and how they are read.

Rule: what the user typed is checked here, before anything is opened; what is
wrong with it is wrong usage (exit 2).
"""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final, TypeVar

import click
from click.core import ParameterSource

from leadglass.dicom.uids import parse_ae_title, parse_uid
from leadglass.doors.cli.application import Application
from leadglass.errors import BadInput

F = TypeVar("F", bound=Callable[..., object])


_BEFORE: Final = "leadglass.data"
"""Where ``--data`` before the command is kept for it."""


def remember_data(context: click.Context, _parameter: click.Parameter, value: Path | None) -> None:
    """Keep the folder that was named before the command."""
    context.meta[_BEFORE] = value


def named_data(context: click.Context, parameter: click.Parameter, value: Path | None) -> Path | None:
    """Give the folder that was named: after the command, else before it, else by the environment or the default."""
    before: Path | None = context.meta.get(_BEFORE)
    is_typed = context.get_parameter_source(parameter.name or "") is ParameterSource.COMMANDLINE
    return value if before is None or is_typed else before


_PASSPHRASE: Final = "leadglass.passphrase"  # noqa: S105 - a name
"""Where ``--passphrase-file`` is kept until the application is made."""


def remember_passphrase_file(context: click.Context, _parameter: click.Parameter, value: str | None) -> None:
    """Keep where the passphrase is to be read."""
    if value is not None:
        context.meta[_PASSPHRASE] = value


def data_option(command: F) -> F:
    """Add ``--data DIR``, and ``--passphrase-file``, which is described where it may stand too: before the command."""
    command = click.option(
        "--passphrase-file", metavar="FILE", expose_value=False, hidden=True, callback=remember_passphrase_file
    )(command)
    return click.option(
        "--data",
        type=click.Path(path_type=Path, file_okay=False),
        callback=named_data,
        envvar="LEADGLASS_DATA",
        default=lambda: Path("~/.local/share/leadglass").expanduser(),
        show_default="~/.local/share/leadglass",
        show_envvar=True,
        metavar="DIR",
        help="The folder that holds the archive.",
    )(command)


def json_option(command: F) -> F:
    """Add ``--json``."""
    return click.option("--json", "as_json", is_flag=True, help="Write the result as JSON, for a program.")(command)


def examples(*commands: str) -> str:
    """Give the end of a help text: commands to try, one a line."""
    return "\b\nExamples:\n" + "\n".join(f"  {command}" for command in commands)


def application_of(context: click.Context) -> Application:
    """Give the application the command works on."""
    from leadglass.doors.cli.passphrases import passphrases  # a help text must not wait for cryptography to load

    make: Callable[[], Application] = context.find_root().obj
    application = make()
    application.ask_with(passphrases(context.meta.get(_PASSPHRASE)))
    return application


def study_uid(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    """Read a Study Instance UID."""
    return None if value is None else _uid(value)


def study_uids(_context: click.Context, _parameter: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    """Read several Study Instance UIDs."""
    return tuple(map(_uid, value))


def _uid(text: str) -> str:
    try:
        return parse_uid(text)
    except BadInput as error:
        raise click.BadParameter(error.message) from error


def ae_title(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    """Read an AE title."""
    try:
        return None if value is None else parse_ae_title(value)
    except BadInput as error:
        raise click.BadParameter(error.message) from error


def day(_context: click.Context, _parameter: click.Parameter, value: str | None) -> date | None:
    """Read a date, ``2027-06-30``."""
    try:
        return None if value is None else date.fromisoformat(value)
    except ValueError as error:
        raise click.BadParameter(f"{value!r} is not a date. Write it like 2027-06-30.") from error


_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}


def duration(_context: click.Context, _parameter: click.Parameter, value: str | None) -> timedelta | None:
    """Read how long: ``30m``, ``8h``, ``7d``, ``4w``."""
    if value is None:
        return None
    if value[:-1].isascii() and value[:-1].isdigit() and len(value) <= 6 and value[-1:] in _UNITS:
        return int(value[:-1]) * _UNITS[value[-1]]
    raise click.BadParameter(f"{value!r} is not a time. Write it like 30m, 8h or 7d.")


def moment(_context: click.Context, _parameter: click.Parameter, value: str | None) -> datetime | None:
    """Read a time: ``2026-11-22``, ``2026-11-22T08:30``, or how long ago: ``90m``, ``24h``, ``7d``."""
    if value is None:
        return None
    if value[:-1].isascii() and value[:-1].isdigit() and value[-1:] in _UNITS:
        try:
            return datetime.now(UTC) - int(value[:-1]) * _UNITS[value[-1]]
        except OverflowError:
            return datetime.min.replace(tzinfo=UTC)
    try:
        return datetime.fromisoformat(value).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise click.BadParameter(f"{value!r} is not a time. Write it like 2026-11-22T08:30, or 24h, or 7d.") from error
