"""Named callers: who stands behind a name in the audit log, with today's rights, to explain decisions.

Rule: such a caller answers questions about the policy; its peer says that nobody speaks.
"""

from datetime import date

from leadglass.audit.record import escape
from leadglass.errors import NotHere
from leadglass.identity.device import Device
from leadglass.identity.devices import Devices
from leadglass.policy.caller import Caller, CallerKind, Grant
from leadglass.policy.scope import Scope
from leadglass.policy.view import View


def grants_of(device: Device, today: date) -> tuple[Grant, ...]:
    """Give the rights of an enrolled device on a day (UTC)."""
    # Every study: an enrolled workstation sees the whole archive, as hospitals expect of
    # Query/Retrieve. What narrows it is what it may ask for.
    reason = f"{device.ae_title} is enrolled for {', '.join(sorted(device.allow))}"
    bulk = device.is_bulk(today)
    if bulk:
        reason += f", in masses until {device.bulk_until or 'further notice'}"
    return (Grant(device.allow, Scope.everything(), View.full(), reason, bulk),)


def caller_named(name: str, devices: Devices) -> Caller:
    """Give the caller a name stands for: ``device:CT1``, or ``CT1``.

    Raises
    ------
    NotHere
        When there is none.
    """
    kind, colon, title = name.partition(":")
    if not colon:
        kind, title = CallerKind.DEVICE, name
    if kind != CallerKind.DEVICE:
        raise NotHere(f"{escape(name[:64])} is nobody known here. Devices are named like device:CT1.")
    device = devices.get(title)
    return Caller(
        CallerKind.DEVICE, device.ae_title, grants_of(device, devices.today), "nowhere", "named on the command line"
    )
