"""What the pages of devices work with."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from leadglass.doors.pages.devices.trials import Trials
from leadglass.doors.threads import Threads
from leadglass.identity.contacts import Contacts
from leadglass.identity.devices import Devices
from leadglass.identity.peers import IpNetwork

DOOR = "pages"
"""What records say of changes that are made here."""


@dataclass(frozen=True, slots=True)
class OpenDoor:
    """A listener for DICOM.

    Parameters
    ----------
    secured : bool
        Whether it is the one for TLS.
    host : str
        Where it listens, as bound: ``0.0.0.0`` and ``::`` stand for every address.
    port : int
        Its TCP port.
    """

    secured: bool
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class DevicesDesk:
    """What the pages of devices work with, made by the composition root.

    Parameters
    ----------
    devices : Devices
        Who is enrolled.
    threads : Threads
        Where blocking calls are made.
    contacts : Contacts
        Who was last heard of when.
    trials : Trials
        The tests that run.
    ae_title : str
        The archive's own AE title.
    doors : callable
        Gives what is listened on for DICOM, once it is.
    machine : callable
        Gives the names and addresses of this machine.
    allowed_networks : tuple of networks
        What the operator listed beyond the local networks.
    """

    devices: Devices
    threads: Threads
    contacts: Contacts
    trials: Trials
    ae_title: str
    doors: Callable[[], Sequence[OpenDoor]]
    machine: Callable[[], Sequence[str]]
    allowed_networks: tuple[IpNetwork, ...]
