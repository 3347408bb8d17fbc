"""The devices that a C-MOVE may send to, and the associations to them.

Rule 1. A device with a certificate is reached over TLS and has to show exactly
that certificate; without one it needs an open plaintext lane, and is sent to
inside of its own addresses only. Rule 2. Neither
host nor port ever comes from a request.
"""

import ssl
from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Final

from leadglass.crypto.ca import fingerprint
from leadglass.dicom.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from leadglass.doors.dimse.link import AssociationLink
from leadglass.doors.dimse.move import DestinationUnknown
from leadglass.doors.dimse.plan import Proposal
from leadglass.doors.dimse.transfer import Link
from leadglass.errors import Denied
from leadglass.identity.device import Device
from leadglass.identity.devices import Devices
from leadglass.identity.peers import is_inside, plain
from leadglass.wire.association import Implementation
from leadglass.wire.client import connect, propose
from leadglass.wire.limits import WireLimits

IMPLEMENTATION: Final = Implementation(IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME)
"""What we say we are (PS3.7 D.3.3.2)."""


@dataclass(frozen=True, slots=True)
class DeviceDestination:
    """One registered device, and how it is reached."""

    device: Device
    calling_ae_title: str
    tls: ssl.SSLContext | None
    limits: WireLimits

    def associate(self, proposals: Sequence[Proposal]) -> AbstractAsyncContextManager[Link]:
        """Open an association; leaving the block releases it.

        Raises
        ------
        LeadglassError
            When there is none to be had, or somebody else answers.
        """
        return self._associate(proposals)

    @asynccontextmanager
    async def _associate(self, proposals: Sequence[Proposal]) -> AsyncGenerator[Link]:
        device = self.device
        async with connect(
            device.host,
            device.port,
            calling=self.calling_ae_title,
            called=device.ae_title,
            contexts=propose(*proposals),
            tls=self.tls,
            limits=self.limits,
            implementation=IMPLEMENTATION,
        ) as association:
            shown = association.peer.certificate
            if self.tls is not None and (shown is None or fingerprint(shown) != device.fingerprint):
                await association.abort()
                raise Denied(f"{device.ae_title} did not show the certificate enrolled for it.")
            if self.tls is None and not is_inside(plain(association.peer.address), device.addresses):
                await association.abort()
                raise Denied(f"{device.ae_title} is reached outside of the addresses it was enrolled with.")
            yield AssociationLink(association)


class DeviceDestinations:
    """The registered devices that receive.

    Parameters
    ----------
    devices : Devices
        Who is enrolled.
    ae_title : str
        Our own AE title.
    tls : SSLContext or None
        The client context with our own certificate; None: no device is reached over TLS.
    limits : WireLimits
        Of the connections.
    """

    def __init__(self, devices: Devices, *, ae_title: str, tls: ssl.SSLContext | None, limits: WireLimits) -> None:
        self._devices = devices
        self._ae_title = ae_title
        self._tls = tls
        self._limits = limits

    def find(self, ae_title: str) -> DeviceDestination:
        """Look a device up, in a thread.

        Raises
        ------
        DestinationUnknown
            With the true reason, for the audit log.
        """
        device = self._devices.find(ae_title.strip(" "))
        if device is None:
            raise DestinationUnknown("The move destination is no registered device.")
        if not device.receives:
            raise DestinationUnknown("The move destination is registered without host and port.")
        if device.fingerprint:
            if self._tls is None:
                raise DestinationUnknown("The move destination speaks TLS, and this archive has no certificate.")
            return DeviceDestination(device, self._ae_title, self._tls, self._limits)
        if device.speaks_plaintext(self._devices.today):
            return DeviceDestination(device, self._ae_title, None, self._limits)
        raise DestinationUnknown("The move destination has neither a certificate nor an open plaintext lane.")
