"""Associations: evidence from the wire becomes a Caller, or nobody is let in.

Rule 1. Two pieces of evidence, never one: the address and the certificate, or in
the plaintext lane the address and an unexpired promise. The AE title is a claim,
not evidence. Rule 2. The true reason of a refusal goes to the audit log; the
stranger hears one answer, whatever it was. Rule 3. Only who is identified learns
that it called us by a wrong name.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from leadglass.audit.event import Event, Outcome
from leadglass.audit.log import AuditLog
from leadglass.audit.record import escape
from leadglass.audit.refusals import Refusals
from leadglass.crypto.ca import fingerprint
from leadglass.errors import Denied
from leadglass.identity.contacts import Arrival, Contacts, What
from leadglass.identity.device import Device
from leadglass.identity.devices import Devices
from leadglass.identity.named import grants_of
from leadglass.identity.peers import IpAddress, IpNetwork, is_inside, plain, refuse_peer
from leadglass.policy.caller import Caller, CallerKind

DOOR: Final = "dimse"


class Why(StrEnum):
    """The kinds of refusal; repeats of one kind by one peer under one name are counted together."""

    NOT_LOCAL = "not local"
    FAILED = "failed"
    NO_CERTIFICATE = "no certificate"
    UNKNOWN_CERTIFICATE = "unknown certificate"
    ENDED_CERTIFICATE = "ended certificate"
    EXPIRED_CERTIFICATE = "expired certificate"
    OTHER_CERTIFICATE = "certificate of another device"
    UNKNOWN_DEVICE = "unknown device"
    NO_PLAINTEXT = "no plaintext lane"
    PLAINTEXT_ENDED = "plaintext lane ended"
    OTHER_ADDRESS = "address not enrolled"
    OTHER_ARCHIVE = "called by another name"
    NO_LONGER = "no longer enrolled like this"


class Refused(Denied):
    """Nobody was identified. The message is for the log; the stranger hears nothing of it.

    Parameters
    ----------
    message : str
        The true reason.
    why : Why
        Its kind.
    """

    def __init__(self, message: str, why: Why = Why.FAILED) -> None:
        super().__init__(message)
        self.why = why


class CalledAETitleNotRecognized(Refused):
    """An enrolled device called us by another name; it may be told (PS3.8 section 9.3.4, reason 7)."""

    def __init__(self, message: str, why: Why = Why.OTHER_ARCHIVE) -> None:
        super().__init__(message, why)


@dataclass(frozen=True, slots=True)
class AssociationEvidence:
    """What is known of who asks for an association.

    Parameters
    ----------
    address : IPv4Address or IPv6Address
        The peer's address.
    tls : bool
        Whether it speaks TLS.
    certificate : bytes, optional
        Its certificate (DER), whose chain and dates TLS has checked.
    calling_ae_title, called_ae_title : str
        As claimed in the A-ASSOCIATE-RQ; hostile until proven otherwise.
    """

    address: IpAddress
    tls: bool
    certificate: bytes | None
    calling_ae_title: str
    called_ae_title: str


class Associations:
    """Decides who stands behind an association, and puts it on record.

    Parameters
    ----------
    devices : Devices
        Who is enrolled.
    audit : AuditLog
        Where associations are recorded.
    refusals : Refusals
        Where refusals are.
    ae_title : str
        The archive's own AE title.
    allowed_networks : iterable of networks
        What the operator listed beyond the local networks.
    contacts : Contacts, optional
        Told of everything that arrives.
    """

    def __init__(
        self,
        devices: Devices,
        audit: AuditLog,
        refusals: Refusals,
        *,
        ae_title: str,
        allowed_networks: Iterable[IpNetwork] = (),
        contacts: Contacts | None = None,
    ) -> None:
        self._contacts = contacts
        self._devices = devices
        self._audit = audit
        self._refusals = refusals
        self._ae_title = ae_title
        self._allowed = tuple(allowed_networks)

    def may_speak(self, address: IpAddress | str) -> bool:
        """Say whether a connection may go on to a protocol; nothing is recorded."""
        return refuse_peer(address, self._allowed) is None

    def refuse_peer(self, address: IpAddress | str) -> str | None:
        """Say why a connection is closed before any protocol, and record it; None when it may go on."""
        reason = refuse_peer(address, self._allowed)
        if reason is not None:
            if self._contacts is not None:
                at = self._devices.now
                self._contacts.note(Arrival(What.FAILED, str(address), at, why=Why.NOT_LOCAL, said=reason))
            self._record(str(address), "connect", Why.NOT_LOCAL, reason, alert=1)
        return reason

    def connection_failed(self, address: IpAddress | str, reason: str) -> None:
        """Record a connection that came to nothing: TLS failed, garbage, too slow.

        Parameters
        ----------
        address : address
            The peer.
        reason : str
            What happened, in our words; what the peer sent does not belong in it.
        """
        if self._contacts is not None:
            self._contacts.note(Arrival(What.FAILED, str(address), self._devices.now, said=reason))
        self._record(
            str(address), "connect", Why.FAILED, f"{reason.rstrip('.')}. Peer: {address}.", told_apart_by=reason
        )

    def identify(self, evidence: AssociationEvidence) -> Caller:
        """Find out who asks for an association.

        Raises
        ------
        CalledAETitleNotRecognized
            When an enrolled device called us by another name.
        Denied
            For every other refusal, with the true reason, already on record. A
            door answers all of them alike.
        Busy, Full, Corrupt, Misconfigured
            When it could not be put on record: then it is not let in.
        """
        try:
            device, proof = self._prove(evidence)
            self._check_called(evidence, device)
        except Refused as refused:
            known = isinstance(refused, CalledAETitleNotRecognized)
            self._note(What.REFUSED, evidence, str(plain(evidence.address)), refused.message, refused.why)
            self._record(
                str(plain(evidence.address)),
                "associate",
                refused.why,
                refused.message,
                told_apart_by=evidence.calling_ae_title,
                calling=evidence.calling_ae_title[:64],
                called=evidence.called_ae_title[:64],
                identified=int(known),
            )
            raise
        caller = self._caller(device, evidence, proof)
        self._audit.append(
            Event.of(
                caller,
                Outcome.PERMITTED,
                "associate",
                caller.grants[0].reason,
                door=DOOR,
                detail={"evidence": proof},
            )
        )
        self._note(What.LET_IN, evidence, caller.peer)
        return caller

    def did(self, caller: Caller, what: What, said: str) -> None:
        """Note what an identified device did, in few words, for whoever looks after devices."""
        if self._contacts is not None:
            at = self._devices.now
            self._contacts.note(Arrival(what, caller.peer, at, calling=caller.name, said=said))

    def _note(self, what: What, evidence: AssociationEvidence, address: str, said: str = "", why: str = "") -> None:
        if self._contacts is not None:
            calling, called = evidence.calling_ae_title[:64], evidence.called_ae_title[:64]
            at = self._devices.now
            self._contacts.note(Arrival(what, address, at, evidence.tls, calling, called, why, said))

    def enrolments(self) -> tuple[int, int]:
        """Give numbers of which one changes whenever an enrolment does."""
        return self._devices.version

    def still_stands(self, caller: Caller, evidence: AssociationEvidence) -> bool:
        """Say whether an identified caller would be let in now with the same rights; a no goes on record.

        Raises
        ------
        Busy, Full, Corrupt, Misconfigured
        """
        try:
            device, _ = self._prove(evidence)
        except Refused as refused:
            reason = refused.message
        else:
            if grants_of(device, self._devices.today) == caller.grants:
                return True
            reason = f"The rights of {device.ae_title} were changed; it may associate anew."
        self._audit.append(
            Event.of(
                caller,
                Outcome.REFUSED,
                "associate",
                f"An open association was ended. {reason}",
                door=DOOR,
                detail={"why": Why.NO_LONGER},
            )
        )
        return False

    def _prove(self, evidence: AssociationEvidence) -> tuple[Device, str]:
        """Find the device, and what proves that it is the one."""
        reason = refuse_peer(evidence.address, self._allowed)
        if reason is not None:
            raise Refused(reason, Why.NOT_LOCAL)
        title = evidence.calling_ae_title.strip(" ")
        device = self._with_certificate(evidence, title) if evidence.tls else self._in_plaintext(evidence, title)
        address = plain(evidence.address)
        if not is_inside(address, device.addresses):
            raise Refused(
                f"{_said(title)} spoke from {address} and is enrolled for "
                f"{', '.join(map(str, device.addresses))} only. If it moved, enrol its new address.",
                Why.OTHER_ADDRESS,
            )
        if evidence.tls:
            return device, f"certificate {device.fingerprint}, address {address}"
        return device, f"plaintext lane until {device.until}, address {address}"

    def _with_certificate(self, evidence: AssociationEvidence, title: str) -> Device:
        said, address = _said(title), plain(evidence.address)
        if evidence.certificate is None:
            raise Refused(
                f"{said} at {address} showed no certificate. Give the device the one it was enrolled with.",
                Why.NO_CERTIFICATE,
            )
        mark = fingerprint(evidence.certificate)
        known = self._devices.whose(mark)
        if known is None:
            raise Refused(
                f"{said} at {address} showed a certificate that was never issued to a device (SHA-256 {mark[:16]}…). "
                "Enrol the device, if it is yours, and give it its own.",
                Why.UNKNOWN_CERTIFICATE,
            )
        if known.ended:
            raise Refused(
                f"{said} at {address} showed a certificate of {known.ae_title} that was {known.ended} "
                f"(SHA-256 {mark[:16]}…). Give the device its newest one, or find out who still holds the old one.",
                Why.ENDED_CERTIFICATE,
            )
        if known.ae_title != title:
            raise Refused(
                f"{said} at {address} showed the certificate of {known.ae_title}. "
                "Correct the AE title on the device, or find out who else holds that certificate.",
                Why.OTHER_CERTIFICATE,
            )
        device = self._devices.find(title)
        if device is None or device.fingerprint != mark:  # it was changed between the two questions
            raise Refused(f"{said} at {address} was removed or enrolled anew just now.", Why.ENDED_CERTIFICATE)
        if device.certificate_until is not None and self._devices.now > device.certificate_until:
            raise Refused(
                f"The certificate of {said} at {address} ended on {device.certificate_until:%Y-%m-%d}. Enrol it anew.",
                Why.EXPIRED_CERTIFICATE,
            )
        return device

    def _in_plaintext(self, evidence: AssociationEvidence, title: str) -> Device:
        said, address = _said(title), plain(evidence.address)
        device = self._devices.find(title)
        if device is None:
            raise Refused(
                f"No device is enrolled as {said}, which spoke without TLS from {address}. Enrol it, if it is yours.",
                Why.UNKNOWN_DEVICE,
            )
        if not device.plaintext:
            raise Refused(
                f"{said} at {address} spoke without TLS and has no plaintext lane. Set the device to TLS.",
                Why.NO_PLAINTEXT,
            )
        if not device.speaks_plaintext(self._devices.today):
            raise Refused(
                f"The plaintext lane of {said} at {address} ended on {device.until}. "
                "Set the device to TLS, or give the lane a later day.",
                Why.PLAINTEXT_ENDED,
            )
        return device

    def _check_called(self, evidence: AssociationEvidence, device: Device) -> None:
        if evidence.called_ae_title.strip(" ") != self._ae_title:
            raise CalledAETitleNotRecognized(
                f"{device.ae_title} at {plain(evidence.address)} called {_said(evidence.called_ae_title)}, and this "
                f"archive is {self._ae_title}. Correct the called AE title on the device."
            )

    def _caller(self, device: Device, evidence: AssociationEvidence, proof: str) -> Caller:
        grants = grants_of(device, self._devices.today)
        return Caller(CallerKind.DEVICE, device.ae_title, grants, str(plain(evidence.address)), proof)

    def _record(
        self, peer: str, action: str, why: Why, reason: str, *, told_apart_by: str = "", **detail: str | int
    ) -> None:
        event = Event(
            outcome=Outcome.REFUSED, action=action, peer=peer, door=DOOR, reason=reason, detail={"why": why, **detail}
        )
        self._refusals.add(event, why, told_apart_by[:64])


def _said(title: str) -> str:
    """Show a claimed AE title: it may hold anything."""
    return f"“{escape(title[:64])}”"
