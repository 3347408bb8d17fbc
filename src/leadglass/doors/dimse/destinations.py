"""The devices that a C-MOVE or a report may go to, and the associations to them.

Rule 1. A device with a certificate is reached over TLS and has to show exactly
that certificate; without one it needs an open plaintext lane, and is sent to
inside of its own addresses only. Rule 2. Neither
host nor port ever comes from a request.
"""

import ssl
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Final

from leadglass.crypto.ca import fingerprint
from leadglass.dicom.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from leadglass.doors.dimse.link import AssociationLink
from leadglass.doors.dimse.move import DestinationUnknown, Outbound
from leadglass.doors.dimse.plan import Proposal
from leadglass.errors import Denied
from leadglass.identity.device import Device
from leadglass.identity.devices import Devices
from leadglass.identity.peers import IpNetwork, is_inside, plain
from leadglass.wire.association import ClientAssociation, Implementation
from leadglass.wire.client import connect, propose
from leadglass.wire.items import Role
from leadglass.wire.limits import WireLimits

IMPLEMENTATION: Final = Implementation(IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME)
"""What we say we are (PS3.7 D.3.3.2)."""


@dataclass(frozen=True, slots=True)
class DeviceDestination:
    """One registered device, and how it is reached: what makes it the same one, and nothing else.

    Parameters
    ----------
    ae_title, host, port, fingerprint
        As enrolled; no fingerprint in plaintext.
    addresses : tuple of networks
        Where it has to be when it is reached in plaintext; over TLS none, its certificate says who it is.
    calling_ae_title : str
        Our own.
    tls : SSLContext or None
        None: it is reached in plaintext.
    limits : WireLimits
        Of the connection.
    """

    ae_title: str
    host: str
    port: int
    fingerprint: str
    addresses: tuple[IpNetwork, ...]
    calling_ae_title: str
    tls: ssl.SSLContext | None
    limits: WireLimits

    def associate(self, proposals: Sequence[Proposal]) -> AbstractAsyncContextManager[Outbound]:
        """Open an association; leaving the block releases it.

        Raises
        ------
        LeadglassError
            When there is none to be had, or somebody else answers.
        """
        return self._link(proposals)

    def report(
        self, proposals: Sequence[Proposal], roles: Mapping[str, Role]
    ) -> AbstractAsyncContextManager[ClientAssociation]:
        """Open an association in which we are the SCP of what we propose; raises as ``associate``."""
        return self._associate(proposals, roles)

    @asynccontextmanager
    async def _link(self, proposals: Sequence[Proposal]) -> AsyncGenerator[Outbound]:
        async with self._associate(proposals) as association:
            yield AssociationLink(association)

    @asynccontextmanager
    async def _associate(
        self, proposals: Sequence[Proposal], roles: Mapping[str, Role] | None = None
    ) -> AsyncGenerator[ClientAssociation]:
        async with connect(
            self.host,
            self.port,
            calling=self.calling_ae_title,
            called=self.ae_title,
            contexts=propose(*proposals),
            tls=self.tls,
            limits=self.limits,
            roles=roles,
            implementation=IMPLEMENTATION,
        ) as association:
            shown = association.peer.certificate
            if self.tls is not None and (shown is None or fingerprint(shown) != self.fingerprint):
                await association.abort()
                raise Denied(f"{self.ae_title} did not show the certificate enrolled for it.")
            if self.tls is None and not is_inside(plain(association.peer.address), self.addresses):
                await association.abort()
                raise Denied(f"{self.ae_title} is reached outside of the addresses it was enrolled with.")
            yield association


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
            return self._destination(device, self._tls)
        if device.speaks_plaintext(self._devices.today):
            return self._destination(device, None)
        raise DestinationUnknown("The move destination has neither a certificate nor an open plaintext lane.")

    def _destination(self, device: Device, tls: ssl.SSLContext | None) -> DeviceDestination:
        return DeviceDestination(
            ae_title=device.ae_title,
            host=device.host,
            port=device.port,
            fingerprint=device.fingerprint,
            addresses=device.addresses if tls is None else (),
            calling_ae_title=self._ae_title,
            tls=tls,
            limits=self._limits,
        )
