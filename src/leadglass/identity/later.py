"""Later: the caller on whose behalf the archive works when its association is long over.

Rule: rights are those of now. A device that was removed is nobody, whatever it
was promised before.
"""

from leadglass.identity.devices import Devices
from leadglass.identity.named import grants_of
from leadglass.policy.caller import Caller, CallerKind


def caller_of_device(devices: Devices, ae_title: str, session: str) -> Caller | None:
    """Give the caller for work that a device asked for earlier; None when it is not enrolled any more.

    Parameters
    ----------
    devices : Devices
        Who is enrolled.
    ae_title : str
        The device.
    session : str
        Id of the association over which it asked, which joins the records.

    Raises
    ------
    Busy, Corrupt, Misconfigured
        When the enrolments cannot be read.
    """
    device = devices.find(ae_title)
    if device is None:
        return None
    evidence = f"asked for it over association {session}"
    return Caller(CallerKind.DEVICE, device.ae_title, grants_of(device, devices.today), "deferred", evidence, session)
