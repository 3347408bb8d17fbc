"""``token``: what programs prove themselves with.

Rule: the token itself goes to stdout, alone and once, so that a script can keep it;
everything said about it goes to stderr.
"""

from datetime import timedelta
from pathlib import Path

import click

from leadglass.doors.cli.options import application_of, data_option, duration, examples, json_option
from leadglass.doors.cli.rights import role_option, scope_option, studies
from leadglass.doors.cli.terminal import Terminal, cell, table
from leadglass.doors.listed import own_token_as_json, token_as_json
from leadglass.identity.own_tokens import OwnToken
from leadglass.identity.tokens import Token
from leadglass.policy.roles import NEEDS_NO_IMAGES, Role, own_scope
from leadglass.policy.scope import Scope
from leadglass.policy.scope_words import SYNTAX


@click.group("token")
def token_command() -> None:
    """Make and revoke tokens: what programs prove themselves with.

    A token is shown once and counts for a time. Whoever has it is the program:
    give each its own, with no more than it needs.
    """


@token_command.command(
    "create",
    epilog=examples(
        "leadglass token create viewer --role service",
        "leadglass token create gp-portal --role referrer --ttl 8h --scope patient=4711",
        "leadglass token create trial-7 --role researcher --ttl 30d --scope label=trial-7",
        'leadglass token create nightly --role researcher --ttl 30d --bulk "nightly export of trial 7"',
    ),
)
@click.argument("name", metavar="NAME")
@role_option("What it may do.")
@click.option(
    "--ttl",
    default="1h",
    show_default=True,
    metavar="TIME",
    callback=duration,
    help="How long it counts, as in 30m, 8h, 30d. [tokens] longest_days in leadglass.toml says the most.",
)
@scope_option
@click.option(
    "--bulk",
    default="",
    metavar="REASON",
    help="It may query and retrieve in masses: no brakes. Say why, without naming patients.",
)
@data_option
@click.pass_context
def token_create(
    context: click.Context, name: str, role: str, ttl: timedelta, scope: Scope | None, bulk: str, data: Path
) -> None:
    """Make a token and print it, and only it, on stdout."""
    terminal = Terminal()
    kind = Role(role)
    with application_of(context).open(data) as opened:
        created = opened.open_tokens().create(opened.caller, name, kind, scope, ttl, bulk=bulk)
    terminal.say(created.secret)
    terminal.tell(
        f"{created.token.name} has the role {kind}: {studies(kind, scope)}, "
        f"until {created.token.until:%Y-%m-%d %H:%M} UTC."
    )
    if kind not in NEEDS_NO_IMAGES and (own_scope(kind) if scope is None else scope).is_nothing:
        terminal.tell(f"A {kind} without a scope sees nothing. Name studies with --scope {SYNTAX}.", "yellow")
    if created.token.bulk:
        terminal.tell("No brakes apply to it until it ends or is revoked.", "yellow")
    terminal.tell("The token is shown this once and kept nowhere. Send it as: Authorization: Bearer …")


@token_command.command("list")
@click.option("--all", "everything", is_flag=True, help="Those that ended too.")
@data_option
@json_option
@click.pass_context
def token_list(context: click.Context, data: Path, *, everything: bool, as_json: bool) -> None:
    """List the tokens that count; never what proves them."""
    terminal = Terminal()
    with application_of(context).open(data) as opened:
        tokens = opened.open_tokens()
        now = tokens.now
        listed = [token for token in tokens.list() if everything or token.counts(now)]
        own = [token for token in opened.open_own_tokens().everybodys(opened.caller) if everything or token.counts(now)]
    if as_json:
        terminal.json(
            [*(token_as_json(token, now) for token in listed), *(own_token_as_json(token, now) for token in own)]
        )
        return
    if not listed and not own:
        terminal.tell("There is no token. Make one: leadglass token create NAME --role ROLE")
        return
    shown = table("name", "role", "studies", "until", "last used", "id", "made by", "bulk", fold=("studies", "bulk"))
    for token in listed:
        state = "" if token.counts(now) else (" (revoked)" if token.ended else " (ended)")
        shown.add_row(
            cell(token.name),
            cell(token.role),
            cell(studies(token.role, token.scope)),
            cell(f"{token.until:%Y-%m-%d %H:%M}{state}", "dim" if state else ""),
            cell("never" if token.used is None else f"{token.used:%Y-%m-%d %H:%M}"),
            cell(token.id),
            cell(token.made_by),
            cell(token.bulk, "yellow"),
        )
    for each in own:
        state = "" if each.counts(now) else (" (revoked)" if each.ended else " (ended)")
        shown.add_row(
            cell(each.name),
            cell(each.role),
            cell(f"{each.scope.explain()}, within {each.owner}'s"),
            cell(f"{each.until:%Y-%m-%d %H:%M}{state}", "dim" if state else ""),
            cell("never" if each.used is None else f"{each.used:%Y-%m-%d %H:%M}"),
            cell(each.id),
            cell(f"person:{each.owner}"),
            cell(""),
        )
    terminal.show(shown)


@token_command.command(
    "revoke", epilog=examples("leadglass token revoke viewer", "leadglass token revoke j.doe/nightly")
)
@click.argument("name", metavar="NAME")
@data_option
@click.pass_context
def token_revoke(context: click.Context, name: str, data: Path) -> None:
    """End a token, at once; a running server refuses it from its next request on."""
    terminal = Terminal()
    with application_of(context).open(data) as opened:
        token: Token | OwnToken
        if "/" in name:
            own = opened.open_own_tokens()
            token = own.revoke(opened.caller, own.named(name).id)
        else:
            token = opened.open_tokens().revoke(opened.caller, name)
    terminal.say(f"{token.name} ({token.id}) does not count any more.")
