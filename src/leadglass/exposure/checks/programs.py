"""Programs and links: tokens that are unused, wide or do not end soon, share links, and brakes that do not brake."""

from collections.abc import Iterator
from dataclasses import fields
from datetime import timedelta
from typing import Final

from leadglass.exposure.facts import Facts
from leadglass.exposure.finding import Check, Fix, Found, Group, Severity, as_word
from leadglass.identity.tokens import Token
from leadglass.policy.roles import NEEDS_NO_IMAGES, Role, own_scope
from leadglass.policy.scope import Clause
from leadglass.sections import Brakes, BrakesOfPeople, BrakesOfTokens

_UNUSED: Final = timedelta(days=30)
_LONG: Final = timedelta(days=31)
_ENDS: Final = timedelta(days=7)
_LONG_LINK: Final = timedelta(days=30)
_WIDER: Final = 10
"""Times the usual limit from which a brake holds up nobody who empties the archive."""

_PAGE: Final = "/tokens"


def _counting(facts: Facts) -> Iterator[Token]:
    return (token for token in facts.tokens if token.counts(facts.now))


def _is_wide(token: Token) -> bool:
    if token.role in NEEDS_NO_IMAGES:
        return False
    scope = own_scope(token.role) if token.scope is None else token.scope
    return Clause() in scope.clauses


def _revoke(token: Token) -> Fix:
    return Fix("End it if no program needs it.", f"leadglass token revoke {as_word(token.name, 'NAME')}", _PAGE)


def _unused(facts: Facts) -> Iterator[Found]:
    for token in _counting(facts):
        last = token.used or token.made
        if facts.now - last > _UNUSED:
            said = f"was last used on {last:%Y-%m-%d}" if token.used else f"was made on {last:%Y-%m-%d} and never used"
            until = f"{token.until:%Y-%m-%d}"
            yield Found(
                Severity.MEDIUM if _is_wide(token) or token.role is Role.ADMIN else Severity.LOW,
                f"The token {token.name} {said}; it counts until {until}.",
                _revoke(token),
                token.id,
            )


def _wide(facts: Facts) -> Iterator[Found]:
    for token in _counting(facts):
        if _is_wide(token) and token.until - token.made > _LONG:
            yield Found(
                Severity.LOW,
                f"The token {token.name} ({token.role}) is for every study, and counts until {token.until:%Y-%m-%d}.",
                Fix(
                    "Make one that is for the studies the program needs (--scope), or that ends within a day and is "
                    "renewed by the program.",
                    f"leadglass token create {as_word(token.name, 'NAME')} --role {token.role} --scope label=L",
                    _PAGE,
                ),
                token.id,
            )


def _bulk(facts: Facts) -> Iterator[Found]:
    for token in _counting(facts):
        if token.bulk:
            yield Found(
                Severity.LOW,
                f"No brakes apply to the token {token.name} until {token.until:%Y-%m-%d} ({token.bulk}).",
                Fix(
                    "End it once the work is done; make one without --bulk where brakes are not in its way.",
                    f"leadglass token revoke {as_word(token.name, 'NAME')}",
                    _PAGE,
                ),
                token.id,
            )


def _of_admin(facts: Facts) -> Iterator[Found]:
    for token in _counting(facts):
        if token.role is Role.ADMIN and token.until - facts.now > timedelta(days=1):
            yield Found(
                Severity.MEDIUM,
                f"The token {token.name} administers the archive until {token.until:%Y-%m-%d}, with no second factor.",
                Fix(
                    "Have people administer with their own account; where a program has to, let its token end within "
                    "hours.",
                    f"leadglass token revoke {as_word(token.name, 'NAME')}",
                    _PAGE,
                ),
                token.id,
            )


def _ending(facts: Facts) -> Iterator[Found]:
    for token in _counting(facts):
        if token.until - facts.now <= _ENDS and token.until - token.made > _ENDS and token.used is not None:
            yield Found(
                Severity.INFO,
                f"The token {token.name} is in use and ends on {token.until:%Y-%m-%d}.",
                Fix("Make a new one for the program before that day.", page=_PAGE),
                token.id,
            )


def _long_links(facts: Facts) -> Iterator[Found]:
    for link in facts.links:
        if link.until > facts.now and link.until - link.made > _LONG_LINK:
            without = "" if link.has_secret else ", and asks for no PIN"
            yield Found(
                Severity.LOW if link.has_secret or link.receives else Severity.MEDIUM,
                f"The {'receive' if link.receives else 'share'} link {link.id} is open until {link.until:%Y-%m-%d}"
                f"{without}.",
                Fix("End it once it was used; make one for some days instead.", page="/shares"),
                link.id,
            )


_USUAL: Final = (("brakes", Brakes()), ("brakes.people", BrakesOfPeople()), ("brakes.tokens", BrakesOfTokens()))


def _brakes_off(facts: Facts) -> Iterator[Found]:
    said = facts.config.brakes
    for (section, usual), now in zip(_USUAL, (said, said.people, said.tokens), strict=True):
        wide = [
            each.name
            for each in fields(usual)
            if each.name.endswith(("_per_minute", "_per_hour", "_per_day"))
            and int(getattr(now, each.name)) >= _WIDER * int(getattr(usual, each.name))
        ]
        if wide:
            yield Found(
                Severity.MEDIUM,
                f"In [{section}] {', '.join(wide)} {'is' if len(wide) == 1 else 'are'} ten times what is usual or "
                "more: it holds up nobody.",
                Fix(
                    f"Take it out of [{section}] in leadglass.toml; for one device that has to fetch in masses grant "
                    "bulk until a day.",
                    "leadglass device add AE … --bulk REASON --bulk-until YYYY-MM-DD",
                ),
                section,
            )


CHECKS: Final = (
    Check(
        "admin-token",
        Group.PROGRAMS,
        "A token administers the archive",
        "A file on some machine is enough to make accounts here.",
        Severity.MEDIUM,
        ("HIPAA 164.312(d)",),
        _of_admin,
    ),
    Check(
        "token-unused",
        Group.PROGRAMS,
        "A token is not used",
        "It lies in a file that nobody looks after any more.",
        Severity.MEDIUM,
        ("HIPAA 164.312(d)", "GDPR 32(1)(d)"),
        _unused,
    ),
    Check(
        "token-wide",
        Group.PROGRAMS,
        "A token for every study lives long",
        "Who finds it reads everything until it ends.",
        Severity.LOW,
        ("HIPAA 164.312(a)(1)", "GDPR 32(1)(b)"),
        _wide,
    ),
    Check(
        "token-bulk",
        Group.PROGRAMS,
        "A token may fetch in masses",
        "The brakes that keep a stolen token from emptying the archive do not hold for it.",
        Severity.LOW,
        ("GDPR 32(1)(b)",),
        _bulk,
    ),
    Check(
        "token-ends",
        Group.PROGRAMS,
        "A token in use ends soon",
        "The program stops working on that day.",
        Severity.INFO,
        (),
        _ending,
    ),
    Check(
        "link-long",
        Group.PROGRAMS,
        "A link is open for long",
        "Links are passed on; who has it needs no account.",
        Severity.MEDIUM,
        ("HIPAA 164.312(a)(1)", "GDPR 32(1)(b)"),
        _long_links,
    ),
    Check(
        "brakes-wide",
        Group.PROGRAMS,
        "The brakes do not brake",
        "They are what keeps one stolen key from taking every study overnight.",
        Severity.MEDIUM,
        ("GDPR 32(1)(b)",),
        _brakes_off,
    ),
)
"""Their table."""
