"""``user``: accounts of people.

Rule 1. A password is never an argument, nor shown. Rule 2. A link goes to stdout,
alone and once; everything said about it goes to stderr.
"""

from pathlib import Path

import click

from leadglass.doors.cli.options import application_of, data_option, examples, json_option
from leadglass.doors.cli.rights import role_option, scope_option, studies
from leadglass.doors.cli.terminal import Terminal, cell, counted, table
from leadglass.doors.cli.weblinks import tell_of_link
from leadglass.doors.listed import session_as_json
from leadglass.errors import BadInput
from leadglass.identity.onetime import Purpose
from leadglass.identity.person import Person, parse_name
from leadglass.policy.roles import NEEDS_NO_IMAGES, Role, own_scope
from leadglass.policy.scope import Scope
from leadglass.policy.scope_words import SYNTAX, write_scope


def _name(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    """Read the name of an account."""
    try:
        return parse_name(value)
    except BadInput as error:
        raise click.BadParameter(error.message) from error


_name_argument = click.argument("name", metavar="NAME", callback=_name)
_role_option = role_option("What kind of work it is for.")


@click.group("user")
def user_command() -> None:
    """Look after the accounts of people.

    A new account gets a one-time link, by which its owner chooses a password.
    An administrator manages and sees no images; an auditor reads the audit log.
    """


@user_command.command(
    "add",
    epilog=examples(
        "leadglass user add j.doe --role radiologist",
        "leadglass user add dr.roe --role referrer --scope patient=4711 --scope patient=4712",
        "leadglass user add neuro.desk --role technologist --scope label=neurology",
        "leadglass user add a.chief --role admin --password-stdin < passphrase.txt",
    ),
)
@_name_argument
@_role_option
@scope_option
@click.option("--password-stdin", is_flag=True, help="Read its password from standard input instead of making a link.")
@data_option
@click.pass_context
def user_add(
    context: click.Context, name: str, role: str, scope: Scope | None, data: Path, *, password_stdin: bool
) -> None:
    """Make an account, and print the link by which its owner chooses a password."""
    terminal = Terminal()
    password = _password() if password_stdin else None
    with application_of(context).open(data) as opened:
        accounts = opened.open_people()
        person = accounts.people.add(opened.caller, name, Role(role), scope, password=password)
        link = None
        if password is None:
            link = accounts.links.make(opened.caller, person, Purpose.SET_UP)
        if link is not None:
            tell_of_link(terminal, opened.config, link)
        else:
            terminal.say(f"{person.name} is added.")
    terminal.tell(f"{person.name} has the role {person.role}: {studies(person.role, person.scope)}.")
    _tell_of_nothing(terminal, person)


@user_command.command("list")
@data_option
@json_option
@click.pass_context
def user_list(context: click.Context, data: Path, *, as_json: bool) -> None:
    """List the accounts, and how many sessions each has open."""
    terminal = Terminal()
    with application_of(context).open(data) as opened:
        accounts = opened.open_people()
        listed = [(person, len(accounts.sessions.list(person.name))) for person in accounts.people.list()]
    if as_json:
        terminal.json([_as_json(person, sessions) for person, sessions in listed])
        return
    if not listed:
        terminal.tell("There is no account. Make one: leadglass user add NAME --role ROLE")
        return
    shown = table("name", "role", "studies", "signs in with", "sessions", right=("sessions",), fold=("studies",))
    for person, sessions in listed:
        shown.add_row(
            cell(person.name, "red" if person.is_locked else ""),
            cell(person.role),
            cell(studies(person.role, person.scope)),
            cell(*_proof(person)),
            cell(str(sessions)),
        )
    terminal.show(shown)


@user_command.command("lock", epilog=examples("leadglass user lock j.doe"))
@_name_argument
@data_option
@click.pass_context
def user_lock(context: click.Context, name: str, data: Path) -> None:
    """Shut an account, at once: its sessions end, and nothing opens it until it is unlocked."""
    with application_of(context).open(data) as opened:
        opened.open_people().people.lock(opened.caller, name)
    Terminal().say(f"{name} is locked and signed out everywhere.")


@user_command.command("unlock", epilog=examples("leadglass user unlock j.doe"))
@_name_argument
@data_option
@click.pass_context
def user_unlock(context: click.Context, name: str, data: Path) -> None:
    """Open an account again that was locked."""
    with application_of(context).open(data) as opened:
        opened.open_people().people.unlock(opened.caller, name)
    Terminal().say(f"{name} may sign in again.")


@user_command.command(
    "role",
    epilog=examples(
        "leadglass user role j.doe --role auditor",
        "leadglass user role dr.roe --role referrer --scope patient=4711",
    ),
)
@_name_argument
@_role_option
@scope_option
@data_option
@click.pass_context
def user_role(context: click.Context, name: str, role: str, scope: Scope | None, data: Path) -> None:
    """Say anew what an account may do, and on which studies. It counts from its next request on."""
    terminal = Terminal()
    with application_of(context).open(data) as opened:
        person = opened.open_people().people.set_role(opened.caller, name, Role(role), scope)
    terminal.say(f"{person.name} has the role {person.role}: {studies(person.role, person.scope)}.")
    _tell_of_nothing(terminal, person)


@user_command.command("reset", epilog=examples("leadglass user reset j.doe"))
@_name_argument
@data_option
@click.pass_context
def user_reset(context: click.Context, name: str, data: Path) -> None:
    """Take away what proves an account, and print a link by which its owner chooses a new password.

    Its password, authenticator app, recovery codes, passkeys and sessions end at once.
    Who signs in by a provider gets no link: the provider says who they are.
    """
    terminal = Terminal()
    with application_of(context).open(data) as opened:
        accounts = opened.open_people()
        person = accounts.people.reset(opened.caller, name)
        if person.origin:
            terminal.say(f"{name} is signed out everywhere, and signs in by its provider: {person.origin}")
            return
        tell_of_link(terminal, opened.config, accounts.links.make(opened.caller, person, Purpose.SET_UP))
        is_locked = person.is_locked
    if is_locked:
        terminal.tell(f"{name} is locked: the link opens nothing until: leadglass user unlock {name}", "yellow")


@user_command.command("remove", epilog=examples("leadglass user remove j.doe"))
@_name_argument
@data_option
@click.pass_context
def user_remove(context: click.Context, name: str, data: Path) -> None:
    """Remove an account; what it did stays on record."""
    with application_of(context).open(data) as opened:
        opened.open_people().people.remove(opened.caller, name)
    Terminal().say(f"{name} is removed.")


@user_command.command("sessions", epilog=examples("leadglass user sessions j.doe"))
@_name_argument
@data_option
@json_option
@click.pass_context
def user_sessions(context: click.Context, name: str, data: Path, *, as_json: bool) -> None:
    """List where somebody is signed in."""
    terminal = Terminal()
    with application_of(context).open(data) as opened:
        accounts = opened.open_people()
        sessions = accounts.sessions.list(accounts.people.get(name).name)
    if as_json:
        terminal.json([session_as_json(session) for session in sessions])
        return
    if not sessions:
        terminal.tell(f"{name} is not signed in.")
        return
    shown = table("session", "from", "since", "last used", "proven with", "browser", fold=("browser",))
    for session in sessions:
        shown.add_row(
            cell(session.id),
            cell(session.peer),
            cell(f"{session.made:%Y-%m-%d %H:%M}"),
            cell(f"{session.seen:%Y-%m-%d %H:%M}"),
            cell(session.evidence),
            cell(session.agent),
        )
    terminal.show(shown)


@user_command.command(
    "sign-out",
    epilog=examples(
        "leadglass user sign-out j.doe",
        "leadglass user sign-out j.doe --session 0f1e2d3c4b5a69788796a5b4c3d2e1f0",
    ),
)
@_name_argument
@click.option("--session", metavar="ID", help="Only this one (see: user sessions).")
@data_option
@click.pass_context
def user_sign_out(context: click.Context, name: str, session: str | None, data: Path) -> None:
    """Sign somebody out, everywhere or in one place; they may sign in again."""
    terminal = Terminal()
    with application_of(context).open(data) as opened:
        accounts = opened.open_people()
        person = accounts.people.get(name)
        if session is None:
            ended = accounts.sessions.end_all(opened.caller, person.name)
        else:
            accounts.sessions.end(opened.caller, session)
            ended = 1
    terminal.say(f"{counted(ended, 'session')} of {name} ended.")


def _password() -> str:
    from leadglass.doors.cli.passphrases import read_once  # a help text must not wait for cryptography to load

    return read_once("-")


def _tell_of_nothing(terminal: Terminal, person: Person) -> None:
    if person.role not in NEEDS_NO_IMAGES and person.scope.is_nothing:
        terminal.tell(
            f"A {person.role} without a scope sees nothing. Name studies: "
            f"leadglass user role {person.name} --role {person.role} --scope WORD  # {SYNTAX}",
            "yellow",
        )


def _proof(person: Person) -> tuple[str, str]:
    """Say what an account is proven with."""
    if person.is_locked:
        return "locked", "red"
    if person.origin:
        return person.origin, ""
    if not person.has_password:
        return "nothing yet", "yellow"
    return "password and app" if person.has_totp else "password", ""


def _as_json(person: Person, sessions: int) -> dict[str, object]:
    has_scope = person.role not in NEEDS_NO_IMAGES
    return {
        "name": person.name,
        "role": person.role.value,
        "scope": list(write_scope(person.scope)) if has_scope else None,
        "own_scope": has_scope and person.scope == own_scope(person.role),
        "locked": person.is_locked,
        "origin": person.origin or None,
        "password": person.has_password,
        "totp": person.has_totp,
        "made": person.made.isoformat(),
        "sessions": sessions,
    }
