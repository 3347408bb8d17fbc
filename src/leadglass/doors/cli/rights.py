"""Rights on the command line: a role, on which studies, for people and programs alike."""

from collections.abc import Callable
from typing import TypeVar

import click

from leadglass.errors import BadInput
from leadglass.policy.roles import NEEDS_NO_IMAGES, Role, own_scope
from leadglass.policy.scope import Scope
from leadglass.policy.scope_words import SYNTAX, parse_scope

F = TypeVar("F", bound=Callable[..., object])


def _scope(_context: click.Context, _parameter: click.Parameter, value: tuple[str, ...]) -> Scope | None:
    """Read which studies; None when nothing is said."""
    try:
        return parse_scope(value) if value else None
    except BadInput as error:
        raise click.BadParameter(error.message) from error


def role_option(said: str) -> Callable[[F], F]:
    """Add ``--role``; ``said`` is its help."""
    return click.option("--role", required=True, type=click.Choice([role.value for role in Role]), help=said)


def scope_option(command: F) -> F:
    """Add ``--scope``, of which there may be several."""
    return click.option(
        "--scope",
        multiple=True,
        metavar="WORD",
        callback=_scope,
        help=f"Which studies: {SYNTAX}. Repeated: any of them. Without it: every study, and for a referrer none.",
    )(command)


def studies(role: Role, scope: Scope | None) -> str:
    """Say which studies a role is for, with a scope or its own, without naming patients."""
    if role in NEEDS_NO_IMAGES:
        return "no images"
    return (own_scope(role) if scope is None else scope).explain()
