"""Explaining: what arrived of a device, in plain words, and what to do about it.

Rule: the reason comes from what was put on record; what a stranger sent is shown
escaped and cut, and explains nothing.
"""

from dataclasses import dataclass
from typing import Final, assert_never

from leadglass.audit.record import escape
from leadglass.identity.associations import Why
from leadglass.identity.contacts import Arrival, What
from leadglass.identity.device import Device
from leadglass.policy.action import Action


@dataclass(frozen=True, slots=True)
class Explained:
    """One arrival, explained.

    Parameters
    ----------
    arrival : Arrival
        Which.
    kind : str
        ``good``, ``warn`` or ``bad``.
    said : str
        What happened.
    fix : str
        What to do; may be empty.
    """

    arrival: Arrival
    kind: str
    said: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a device should have come.

    Parameters
    ----------
    ae_title : str
        Our own.
    tls_port, plain_port : int
        Of the doors; 0: closed.
    """

    ae_title: str
    tls_port: int
    plain_port: int


def explain(arrival: Arrival, device: Device, place: Place) -> Explained:
    """Explain one arrival."""
    match arrival.what:
        case What.LET_IN:
            how = "over TLS, with its certificate" if arrival.secured else "without encryption, in its plaintext lane"
            fix = ""
            if Action.ECHO not in device.allow:
                fix = (
                    f"It may not test the connection: C-ECHO is not among what {device.ae_title} may do, so its test "
                    "may say “failed” although it is let in. Grant it, or send an image instead."
                )
            return Explained(arrival, "warn" if fix else "good", f"{device.ae_title} was let in {how}.", fix)
        case What.ECHOED:
            return Explained(arrival, "good", "C-ECHO was answered. The connection works.")
        case What.NOT_ECHOED:
            return Explained(
                arrival,
                "warn",
                "C-ECHO was refused: testing is not among what it may do.",
                "Grant “Test the connection” to the device, if its test should succeed.",
            )
        case What.ENDED:
            return Explained(arrival, "good", f"It hung up. {arrival.said}".strip())
        case What.REFUSED:
            return _refused(arrival, device, place)
        case What.FAILED:
            return _failed(arrival, place)
    assert_never(arrival.what)


def _refused(arrival: Arrival, device: Device, place: Place) -> Explained:
    calling, called = _quoted(arrival.calling), _quoted(arrival.called)
    name, address = device.ae_title, arrival.address
    match arrival.why:
        case Why.UNKNOWN_DEVICE:
            said = f"It calls itself {calling}, and no device is enrolled under that name."
            fix = f"Set the AE title on the device to exactly {name}; upper and lower case differ."
        case Why.OTHER_ARCHIVE:
            said = f"It called {called}, and this archive is {place.ae_title}."
            fix = f"Correct the called AE title (remote AE, peer AE) on the device: {place.ae_title}."
        case Why.OTHER_ADDRESS:
            said = f"{calling} came from {address}, where it is not enrolled."
            fix = f"If that is the device, add {address} to its addresses here. If not, find out who uses its name."
        case Why.NO_PLAINTEXT:
            said = f"{calling} spoke without TLS, and has no plaintext lane."
            port = f" and set its port to {place.tls_port}" if place.tls_port else ""
            fix = f"Switch TLS on at the device{port}. If it cannot, give it a plaintext lane."
        case Why.PLAINTEXT_ENDED:
            said = f"The plaintext lane of {calling} has ended."
            fix = "Set the device to TLS, or extend the lane."
        case Why.NO_CERTIFICATE:
            said = f"{calling} spoke TLS and showed no certificate."
            fix = "Install key.pem and cert.pem on the device, and switch client authentication on."
        case Why.UNKNOWN_CERTIFICATE:
            said = f"{calling} showed a certificate that was not made here for a device."
            fix = "Install the certificate that was made here for it."
        case Why.ENDED_CERTIFICATE:
            said = f"{calling} showed a certificate that was replaced or revoked."
            fix = "Install its newest one, or make a new one."
        case Why.EXPIRED_CERTIFICATE:
            said = f"The certificate of {calling} has expired."
            fix = "Make a new one and install it on the device."
        case Why.OTHER_CERTIFICATE:
            said = f"{calling} showed the certificate of another device."
            fix = f"Set the AE title on the device to the one its certificate was made for, or install that of {name}."
        case Why.NOT_LOCAL:
            return _elsewhere(arrival)
        case _:
            said, fix = "It was refused.", "The audit log says why."
    return Explained(arrival, "bad", said, fix)


def _elsewhere(arrival: Arrival) -> Explained:
    return Explained(
        arrival,
        "bad",
        f"Connections from {arrival.address} are closed before a word: it is no local address.",
        "If it is yours, list its network under allowed_public_networks of [network] in leadglass.toml. If not, find "
        "out how it can reach this port.",
    )


_FAILURES: Final = (
    ("plain DICOM on the port for TLS", "It speaks plain DICOM on the port for TLS.", "Switch TLS on at the device."),
    ("the peer does not speak TLS", "Something that is neither TLS nor DICOM came to the port for TLS.",
     "If that was the device, check which protocol and which port it is set to."),
    ("TLS to a port for plain DICOM", "It speaks TLS on the port for plain DICOM.",
     "Set the port for TLS on the device."),
    ("nothing was sent within", "It connected and said nothing.",
     "A port check does that. If it was the device's own test, it may expect another protocol on this port."),
    ("without sending anything", "It connected and hung up without a word.",
     "A port check does that: the network works. Now use the device's DICOM test (verify, echo)."),
    ("no client certificate", "It spoke TLS and showed no certificate.",
     "Install key.pem and cert.pem on the device, and switch client authentication on."),
    ("not issued by our authority", "It showed a certificate that was not made here.",
     "Install the certificate that was made here for it."),
    ("certificate has expired", "Its certificate has expired.", "Make a new one, and check the device's clock."),
    ("certificate is not yet valid", "Its certificate begins later than today, by this machine's clock.",
     "Check the clocks of the device and of this machine."),
    ("does not trust the certificate", "The device does not trust this archive.",
     "Install ca.pem on the device as a trusted authority."),
    ("does not accept the certificate", "The device refused this archive's certificate.",
     "Install ca.pem on the device as a trusted authority, and call the archive by a name or address that its "
     "certificate holds."),
    ("finds the certificate expired", "The device takes this archive's certificate for expired.",
     "Check the device's clock."),
    ("older than version 1.2", "The device speaks a TLS older than 1.2, which is broken and not served.",
     "Update the device, or give it a plaintext lane until it is replaced."),
    ("in common", "The device and this archive have no cipher in common.",
     "Set the device to the BCP 195 profile: TLS 1.2 with ECDHE and AES-GCM, or TLS 1.3."),
    ("took too long", "The TLS handshake was begun and not finished.",
     "The device may want to be confirmed on its own screen, or the network loses packets."),
    ("during the handshake", "The device hung up in the middle of the TLS handshake.",
     "Usually it does not trust this archive: install ca.pem on it as a trusted authority."),
    ("limit of associations", "Too many connections are open.", "Wait until others have ended."),
    ("too many connections", "Too many connections without a word are open.", "Find out who opens them."),
)  # fmt: skip


def _failed(arrival: Arrival, place: Place) -> Explained:
    if arrival.why == Why.NOT_LOCAL:
        return _elsewhere(arrival)
    for words, said, fix in _FAILURES:
        if words in arrival.said:
            port = place.tls_port if "port for TLS" in fix else 0
            return Explained(arrival, "bad", said, f"{fix[:-1]}: {port}." if port else fix)
    return Explained(
        arrival, "bad", f"The connection came to nothing: {arrival.said.rstrip('.')}.", "See the device's own log."
    )


def _quoted(title: str) -> str:
    return f"“{escape(title.strip(' ')[:32])}”" if title.strip(" ") else "a device without a name"
