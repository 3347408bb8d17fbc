"""Named callers: who stands behind a name in the audit log, with today's rights, to explain decisions.

Rule: such a caller answers questions about the policy; its peer says that nobody speaks.
"""

from collections.abc import Callable
from datetime import date
from typing import TYPE_CHECKING, Final

from leadglass.audit.record import escape
from leadglass.errors import NotHere
from leadglass.identity.device import Device
from leadglass.identity.devices import Devices
from leadglass.policy import roles
from leadglass.policy.caller import Caller, CallerKind, Grant
from leadglass.policy.scope import Scope
from leadglass.policy.view import View

if TYPE_CHECKING:
    from leadglass.identity.own_tokens import OwnTokens
    from leadglass.identity.people import People
    from leadglass.identity.tokens import Tokens

_NAMED: Final = "named on the command line"


def grants_of(device: Device, today: date) -> tuple[Grant, ...]:
    """Give the rights of an enrolled device on a day (UTC)."""
    # Every study: an enrolled workstation sees the whole archive, as hospitals expect of
    # Query/Retrieve. What narrows it is what it may ask for.
    reason = f"{device.ae_title} is enrolled for {', '.join(sorted(device.allow))}"
    bulk = device.is_bulk(today)
    if bulk:
        reason += f", in masses until {device.bulk_until or 'further notice'}"
    return (Grant(device.allow, Scope.everything(), View.full(), reason, bulk),)


def caller_named(
    name: str,
    devices: Devices,
    open_tokens: "Callable[[], Tokens] | None" = None,
    open_people: "Callable[[], People] | None" = None,
    open_own_tokens: "Callable[[], OwnTokens] | None" = None,
    of_link: Callable[[str], Caller] | None = None,
) -> Caller:
    """Give the caller a name stands for: ``device:CT1`` or ``CT1``, ``token:viewer``, ``person:j.doe``, ``link:ID``.

    Parameters
    ----------
    name : str
        As the audit log names callers.
    devices : Devices
        Who is enrolled.
    open_tokens, open_people, open_own_tokens : callable, optional
        Give those books when somebody of them is named.
    of_link : callable, optional
        Gives who is here by the link of an id.

    Raises
    ------
    NotHere
        When there is none.
    """
    kind, colon, title = name.partition(":")
    if not colon:
        kind, title = CallerKind.DEVICE, name
    if kind == CallerKind.TOKEN and "/" in title and open_own_tokens is not None:
        own = open_own_tokens()
        return Caller(CallerKind.TOKEN, title, own.rights(own.named(title)), "nowhere", _NAMED)
    if kind == CallerKind.TOKEN and open_tokens is not None:
        return _token(title, open_tokens())
    if kind == CallerKind.PERSON and open_people is not None:
        return _person(title, open_people())
    if kind == CallerKind.LINK and of_link is not None:
        return of_link(title)
    if kind != CallerKind.DEVICE:
        raise NotHere(
            f"{escape(name[:64])} is nobody known here. Callers are named like device:CT1, token:viewer, person:j.doe, "
            "link:ID."
        )
    device = devices.get(title)
    return Caller(CallerKind.DEVICE, device.ae_title, grants_of(device, devices.today), "nowhere", _NAMED)


def _token(name: str, tokens: "Tokens") -> Caller:
    """Give the caller of a token; one that has ended has no rights."""
    token = tokens.find(name)
    if token is None:
        raise NotHere(f"There is no token {escape(name[:64])}. See: leadglass token list")
    grants = roles.grants_of(token.role, token.scope) if token.counts(tokens.now) else ()
    return Caller(CallerKind.TOKEN, token.name, grants, "nowhere", _NAMED)


def _person(name: str, people: "People") -> Caller:
    """Give the caller of an account, with what was opened in an emergency; a locked one has no rights."""
    person = people.get(name)
    if person.is_locked:
        return Caller(CallerKind.PERSON, person.name, (), "nowhere", _NAMED)
    return people.caller_of(person, "nowhere", _NAMED)
