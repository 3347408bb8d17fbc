"""Which groups of an OpenID provider are which roles here.

Rule 1. Who is in no group that is named is nobody; so is everybody while nothing
is named. Rule 2. The first line that fits names the role; the scopes of all lines
that fit and name the same role unite. Rule 3. Nobody becomes an administrator
unless a line says so.
"""

import shlex
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final

from leadglass.errors import BadInput, Misconfigured
from leadglass.policy.roles import NEEDS_NO_IMAGES, Role, own_scope, parse_role
from leadglass.policy.scope import Scope
from leadglass.policy.scope_words import parse_scope, write_scope

ARROW: Final = "->"


@dataclass(frozen=True, slots=True)
class Standing:
    """What somebody may: a role, and on which studies; None as the role has it."""

    role: Role
    scope: Scope | None


@dataclass(frozen=True, slots=True)
class Line:
    """One line: a group, and what its members are."""

    group: str
    standing: Standing


@dataclass(frozen=True, slots=True)
class RoleMapping:
    """All lines, in the operator's order."""

    lines: tuple[Line, ...] = ()

    @classmethod
    def parse(cls, texts: Iterable[str], where: str = "[oidc] groups") -> "RoleMapping":
        """Read lines like ``radiology-readers -> radiologist`` and ``gps -> referrer label=gps``.

        Parameters
        ----------
        texts : iterable of str
            The lines.
        where : str
            Where they stand, for messages.

        Raises
        ------
        Misconfigured
            With the number of the line that cannot be read.
        """
        return cls(tuple(_line(number, text, where) for number, text in enumerate(texts, 1)))

    def standing(self, groups: Collection[str]) -> Standing | None:
        """Give what a member of some groups is; None when nobody."""
        fitting = [line.standing for line in self.lines if line.group in groups]
        if not fitting:
            return None
        role = fitting[0].role
        scopes = [each.scope for each in fitting if each.role is role]
        if all(scope is None for scope in scopes):
            return Standing(role, None)
        united = Scope.nothing()
        for scope in scopes:
            united |= own_scope(role) if scope is None else scope
        return Standing(role, parse_scope(write_scope(united)))  # as it is kept, so that it compares as equal


def _line(number: int, text: str, where: str) -> Line:
    try:
        return _read(text)
    except (BadInput, ValueError) as error:
        said = error.message if isinstance(error, BadInput) else "A quotation mark is missing."
        raise Misconfigured(f"leadglass.toml: line {number} of {where} cannot be read. {said}") from error


def _read(text: str) -> Line:
    group, arrow, rest = text.rpartition(ARROW)
    words = shlex.split(rest)
    if not arrow or not group.strip() or not words:
        raise BadInput("It is written GROUP -> ROLE [SCOPE …].")
    role = parse_role(words[0])
    scope = parse_scope(words[1:]) if words[1:] else None
    if scope is not None and role in NEEDS_NO_IMAGES:
        raise BadInput(f"The role {role} sees no images, so a scope says nothing. Leave it away.")
    return Line(group.strip(), Standing(role, scope))
