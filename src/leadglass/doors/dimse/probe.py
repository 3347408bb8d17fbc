"""Probe: one C-ECHO from us to an enrolled device, step by step, with what to do where it stops.

Rule 1. Only the enrolled host and port are reached, one time, over the way that a
C-MOVE takes: nothing here finds out what else there is. Rule 2. It ends within
``LONGEST`` seconds, whatever the other side does. Rule 3. What the other side sent
is never shown: what is said comes from tables.
"""

import asyncio
import socket
import ssl
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from leadglass.crypto.ca import fingerprint
from leadglass.dicom import sop_classes
from leadglass.dicom.uids import IMPLICIT_VR_LITTLE_ENDIAN
from leadglass.doors.dimse.destinations import IMPLEMENTATION
from leadglass.identity.device import Device
from leadglass.identity.devices import Devices
from leadglass.identity.peers import IpAddress, is_inside, plain
from leadglass.wire.association import ClientAssociation
from leadglass.wire.client import connect, propose
from leadglass.wire.errors import AssociationAborted, AssociationRejected, ConnectionFailed
from leadglass.wire.limits import WireLimits
from leadglass.wire.messages import CEchoRq, CEchoRsp

LONGEST: Final = 40.0
"""Seconds of a whole probe: the sum of what each step may take, and some for a slow machine."""

RESOLVING: Final = 8.0
"""Seconds for a name: resolvers try a second server after five."""

LIMITS: Final = WireLimits(connect=6.0, tls_handshake=6.0, negotiation=8.0, response=8.0, release=3.0, linger=1.0)
"""Shorter than for work: a person waits, and a device that takes longer will not do."""


class Stage(StrEnum):
    """A step, in order."""

    SET_UP = "set up"
    NAME = "name"
    CONNECT = "connect"
    TLS = "tls"
    ASSOCIATE = "associate"
    ECHO = "echo"


class Result(StrEnum):
    """How a step ended."""

    DONE = "done"
    NOTED = "noted"
    """It is no failure, and worth a look."""
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Step:
    """What one step came to.

    Parameters
    ----------
    stage : Stage
        Which.
    result : Result
        How it ended.
    said : str
        What happened.
    advice : str
        What to do; empty where nothing is to be done.
    """

    stage: Stage
    result: Result
    said: str
    advice: str = ""


Told = Callable[[Step], None]


class Prober:
    """Tests devices.

    Parameters
    ----------
    ae_title : str
        Our own AE title.
    tls : SSLContext or None
        The client context with our own certificate; None: no device is reached over TLS.
    limits : WireLimits
        Of the connection.
    """

    def __init__(self, ae_title: str, tls: ssl.SSLContext | None, limits: WireLimits = LIMITS) -> None:
        self._ae_title = ae_title
        self._tls = tls
        self._limits = limits

    async def run(self, device: Device, devices: Devices, tell: Told) -> bool:
        """Test a device, and tell each step when it is over; says whether C-ECHO was answered.

        Parameters
        ----------
        device : Device
            As enrolled now.
        devices : Devices
            Knows the day it is.
        tell : callable
            Takes each step.
        """
        try:
            async with asyncio.timeout(LONGEST):
                return await self._run(device, devices, tell)
        except TimeoutError:
            tell(Step(Stage.CONNECT, Result.FAILED, f"There was no end within {LONGEST:g} seconds.", _SILENT))
            return False

    async def _run(self, device: Device, devices: Devices, tell: Told) -> bool:
        stop = _not_ready(device, devices, self._tls)
        if stop is not None:
            tell(stop)
            return False
        secured = bool(device.fingerprint)
        found = await _resolve(device)
        if isinstance(found, Step):
            tell(found)
            return False
        reached = [each for each in found if secured or is_inside(each, device.addresses)]
        shown = ", ".join(map(str, found[:4]))
        if not reached:
            where = ", ".join(map(str, device.addresses))
            tell(
                Step(
                    Stage.NAME,
                    Result.FAILED,
                    f"{device.host} is {shown}, and {device.ae_title} is enrolled for {where} only.",
                    "Without TLS nothing is sent elsewhere. Correct the device's addresses or its host, or give it a "
                    "certificate.",
                )
            )
            return False
        if device.host not in {str(each) for each in found}:
            tell(Step(Stage.NAME, Result.DONE, f"{device.host} is {shown}."))
        # With TLS by its name, as a C-MOVE does: its certificate says who it is.
        host = device.host if secured else str(reached[0])
        try:
            async with self._associated(device, host, tell) as association:
                return False if association is None else await _echo(association, device, tell)
        except ConnectionFailed as error:
            tell(_no_connection(device, error, self._limits))
        except AssociationRejected as error:
            _tell_connected(device, None, tell)
            tell(_rejected(device, self._ae_title, error))
        except AssociationAborted as error:
            tell(_aborted(device, error, secured=secured))
        return False

    @asynccontextmanager
    async def _associated(self, device: Device, host: str, tell: Told) -> AsyncGenerator[ClientAssociation | None]:
        """Open an association with who the device is; None when somebody else answers."""
        tls = self._tls if device.fingerprint else None
        async with connect(
            host,
            device.port,
            calling=self._ae_title,
            called=device.ae_title,
            contexts=propose((sop_classes.VERIFICATION, (IMPLICIT_VR_LITTLE_ENDIAN,))),
            tls=tls,
            limits=self._limits,
            implementation=IMPLEMENTATION,
        ) as association:
            shown = association.peer.certificate
            if tls is not None and (shown is None or fingerprint(shown) != device.fingerprint):
                await association.abort()
                tell(Step(Stage.CONNECT, Result.DONE, f"Port {device.port} of {device.host} answers."))
                tell(
                    Step(
                        Stage.TLS,
                        Result.FAILED,
                        f"What answers shows a certificate of this archive, and not the one that {device.ae_title} was "
                        "given last.",
                        "Install the newest certificate on the device, or make a new one for it. If another device "
                        "answers at this host and port, correct them.",
                    )
                )
                yield None
                return
            _tell_connected(device, association.peer.tls_version, tell)
            tell(Step(Stage.ASSOCIATE, Result.DONE, f"{device.ae_title} accepts us as {self._ae_title}."))
            yield association


def _tell_connected(device: Device, version: str | None, tell: Told) -> None:
    tell(Step(Stage.CONNECT, Result.DONE, f"Port {device.port} of {device.host} answers."))
    if device.fingerprint:
        known = f" ({version})" if version else ""
        tell(Step(Stage.TLS, Result.DONE, f"Both sides accept each other's certificate{known}."))
    else:
        tell(Step(Stage.TLS, Result.NOTED, "No encryption: the device is reached in its plaintext lane."))


def _not_ready(device: Device, devices: Devices, tls: ssl.SSLContext | None) -> Step | None:
    """Say why there is nothing to reach."""
    if not device.receives:
        return Step(
            Stage.SET_UP,
            Result.FAILED,
            f"No host and port are known where {device.ae_title} takes connections.",
            "A device that only sends needs none: test it the other way round. One that retrieves (C-MOVE) or waits "
            "for storage commitment does: change the device and fill them in.",
        )
    until = device.certificate_until
    if device.fingerprint:
        if tls is None:
            return Step(
                Stage.SET_UP,
                Result.FAILED,
                "The archive has no certificate of its own yet.",
                "It makes one when it first serves: start leadglass serve.",
            )
        if until is not None and until <= devices.now:
            return Step(
                Stage.SET_UP,
                Result.FAILED,
                f"The certificate of {device.ae_title} ended on {until:%Y-%m-%d}.",
                "Make a new one and install it on the device.",
            )
        return None
    if device.plaintext and not device.speaks_plaintext(devices.today):
        return Step(
            Stage.SET_UP,
            Result.FAILED,
            f"The plaintext lane of {device.ae_title} ended on {device.until}: nothing is sent to it any more.",
            "Give the device a certificate, or extend the lane if it still cannot speak TLS.",
        )
    if not device.plaintext:
        return Step(
            Stage.SET_UP,
            Result.FAILED,
            f"{device.ae_title} has no certificate yet, and no plaintext lane.",
            "Make its certificate and install it on the device.",
        )
    return None


async def _resolve(device: Device) -> Sequence[IpAddress] | Step:
    try:
        async with asyncio.timeout(RESOLVING):
            entries = await asyncio.get_running_loop().getaddrinfo(device.host, device.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        late = isinstance(error, TimeoutError)
        said = "was not found in time" if late else "is a name that this machine does not know"
        return Step(
            Stage.NAME,
            Result.FAILED,
            f"{device.host} {said}.",
            "Check the spelling, or write the device's IP address instead. Otherwise ask who runs your DNS.",
        )
    return tuple(dict.fromkeys(plain(str(entry[4][0])) for entry in entries))


_SILENT: Final = (
    "Check that the device is switched on and that its address is right. If it is, a firewall drops the connection: "
    "allow TCP from this archive to that port."
)


def _no_connection(device: Device, error: ConnectionFailed, limits: WireLimits) -> Step:
    if error.in_tls:
        return Step(Stage.TLS, Result.FAILED, error.message, _tls_advice(error.message))
    where = f"{device.host} port {device.port}"
    if error.refused:
        return Step(
            Stage.CONNECT,
            Result.FAILED,
            f"{where} refuses connections: the machine is there, and no program listens on that port.",
            "Start the DICOM receiver (Storage SCP) on the device, and compare the port with the one it is set to.",
        )
    if "within" in error.message:
        return Step(Stage.CONNECT, Result.FAILED, f"{where} did not answer within {limits.connect:g} seconds.", _SILENT)
    return Step(
        Stage.CONNECT,
        Result.FAILED,
        f"{where} cannot be reached. {error.message}",
        "Check the address, and whether there is a route from this archive to that network.",
    )


_TLS_ADVICE: Final = (
    ("does not speak TLS", "The port takes plain DICOM, or is no DICOM port. Name the device's port for TLS, or switch "
     "TLS on there."),
    ("HTTP", "A web server answers. Name the DICOM port of the device."),
    ("not issued by our authority", "The device shows a certificate of its own. Install the one that was made here "
     "for it."),
    ("has expired", "The device shows a certificate that has ended. Make a new one and install it, and check the "
     "device's clock."),
    ("not yet valid", "The device's certificate begins later. Check the clocks of the device and of this machine."),
    ("does not trust", "The device does not know this archive's authority. Install ca.pem on it as trusted."),
    ("does not accept the certificate", "The device refuses our certificate. Install ca.pem on it as trusted, and "
     "switch off the comparison of host names if it has one."),
    ("finds the certificate expired", "The device takes our certificate for expired. Check its clock."),
    ("older than version 1.2", "The device speaks an old TLS. Update it, or use a plaintext lane until it is."),
    ("in common", "The device's TLS is too old or narrow. It needs TLS 1.2 with ECDHE and AES-GCM (BCP 195)."),
    ("closed the connection", "The device hung up. Usually it does not speak TLS on this port, or refuses our "
     "certificate: name its port for TLS, and install ca.pem on it."),
    ("too long", "It takes connections and says nothing. Usually it does not speak TLS on this port: name its port "
     "for TLS."),
)  # fmt: skip


def _tls_advice(said: str) -> str:
    for words, advice in _TLS_ADVICE:
        if words in said:
            return advice
    return "Install on the device the key, its certificate and ca.pem that were made here, and switch TLS on there."


def _rejected(device: Device, ae_title: str, error: AssociationRejected) -> Step:
    said = f"The device answers, and rejects us: {error.text}."
    match error.source, error.reason:
        case 1, 7:
            advice = (
                f"Its own AE title is not {device.ae_title}. Compare upper and lower case; correct it there or here."
            )
        case 1, 3:
            advice = f"It does not know {ae_title}. Add this archive to the AE titles (peers, remote nodes) it accepts."
        case 3, _:
            advice = "It is busy: it takes no more associations for the moment. Test again in a minute."
        case _:
            advice = f"See the device's own log. Usually {ae_title} is not set up there as a peer."
    return Step(Stage.ASSOCIATE, Result.FAILED, said, advice)


def _aborted(device: Device, error: AssociationAborted, *, secured: bool) -> Step:
    """Explain a connection that ended before there was an association."""
    if "did not answer" in error.message:
        return Step(
            Stage.ASSOCIATE,
            Result.FAILED,
            "The port takes connections and says nothing.",
            "It is a DICOM port that wants TLS, or a receiver that hangs. Restart the receiver, and compare the port."
            if not secured
            else "The receiver hangs. Restart it.",
        )
    if secured and "TLS" in error.message:
        said = error.message.rpartition("(")[2].partition(")")[0]
        return Step(Stage.TLS, Result.FAILED, f"{said}.", _tls_advice(said))
    if "There is no PDU" in error.message or "longer than allowed" in error.message:
        return Step(
            Stage.ASSOCIATE,
            Result.FAILED,
            f"What answers on port {device.port} does not speak DICOM.",
            "It is another service, such as a web server, or a DICOM port that wants TLS. Name the port of the "
            "device's DICOM receiver.",
        )
    return Step(
        Stage.ASSOCIATE,
        Result.FAILED,
        "The connection ended before the device answered.",
        "It may want TLS on this port, not know this archive, or be no DICOM port. See the device's own log."
        if not secured
        else "The device may refuse our certificate: install ca.pem on it as trusted. See the device's own log.",
    )


async def _echo(association: ClientAssociation, device: Device, tell: Told) -> bool:
    contexts = association.accepted(sop_classes.VERIFICATION)
    if not contexts:
        tell(
            Step(
                Stage.ECHO,
                Result.NOTED,
                f"{device.ae_title} takes our association and offers no C-ECHO.",
                "Images may arrive all the same. Switch on its verification service to be able to test.",
            )
        )
        return False
    request = CEchoRq(message_id=association.next_message_id(), affected_sop_class_uid=sop_classes.VERIFICATION)
    try:
        answer = (await association.call(contexts[0].id, request)).command
    except AssociationAborted:
        tell(
            Step(
                Stage.ECHO,
                Result.FAILED,
                "The association was taken, and C-ECHO was not answered.",
                "The receiver hangs or hung up. See the device's own log.",
            )
        )
        return False
    status = answer.status if isinstance(answer, CEchoRsp) else -1
    if status != 0:
        tell(Step(Stage.ECHO, Result.FAILED, "C-ECHO was answered with an error.", "See the device's own log."))
        return False
    tell(Step(Stage.ECHO, Result.DONE, f"{device.ae_title} answers C-ECHO."))
    return True
