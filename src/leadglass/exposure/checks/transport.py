"""Transport: what the TLS doors agree to, and the certificates they show (PS3.15 B.12, BCP 195)."""

from collections.abc import Iterator
from datetime import timedelta
from ipaddress import ip_address
from typing import Final

from leadglass.exposure.facts import Facts, Secured, ShownCertificate
from leadglass.exposure.finding import Check, Fix, Found, Group, Severity

_LEAST_BITS: Final = {"RSA": 2048, "EC": 224, "Ed25519": 256, "Ed448": 448}
"""NIST SP 800-57: 112 bits of strength."""

_SOON: Final = timedelta(days=30)
_VERY_SOON: Final = timedelta(days=7)

_OWN: Final = Fix(
    "Start the server anew: the archive renews its own certificate. If that does not help, look at its log.",
    "systemctl restart leadglass",
)
_OPERATORS: Final = Fix("Put a renewed certificate where [web] certificate of leadglass.toml says, and start anew.")
_REPORT: Final = Fix("It should never do that. Update it, and report it as a security fault (SECURITY.md).")


def _certificates(facts: Facts) -> Iterator[tuple[Secured, ShownCertificate]]:
    for door in facts.secured:
        if door.certificate is not None:
            yield door, door.certificate


def _fix_of(shown: ShownCertificate) -> Fix:
    return _OWN if shown.is_ours else _OPERATORS


def _cannot_open(facts: Facts) -> Iterator[Found]:
    for door in facts.secured:
        if door.fault:
            yield Found(Severity.HIGH, f"The door {door.door} cannot open anew: {door.fault}", _OPERATORS, door.door)


def _weak(facts: Facts) -> Iterator[Found]:
    for door in facts.secured:
        for agreed in door.weak:
            if agreed.is_agreed:
                yield Found(
                    Severity.HIGH,
                    f"The door {door.door} agrees to {agreed.version} with {agreed.suite} when a client offers "
                    f"{agreed.offered}.",
                    _REPORT,
                    f"{door.door} {agreed.offered}",
                )


def _not_modern(facts: Facts) -> Iterator[Found]:
    for door in facts.secured:
        if door.fault:
            continue
        for agreed in door.good:
            if not agreed.is_agreed:
                yield Found(
                    Severity.MEDIUM,
                    f"The door {door.door} turns away a client that offers {agreed.offered}, which the profile wants.",
                    _REPORT,
                    f"{door.door} {agreed.offered}",
                )
        if door.preferred.is_agreed and door.preferred.version != "TLSv1.3":
            yield Found(
                Severity.LOW,
                f"The door {door.door} agrees to {door.preferred.version} with a client that can do TLS 1.3.",
                Fix("Have the machine's OpenSSL brought up to date: 1.1.1 and later know TLS 1.3."),
                door.door,
            )


def _no_client_certificate(facts: Facts) -> Iterator[Found]:
    for door in facts.secured:
        if door.door == "dicom-tls" and not door.fault and not door.wants_client_certificate:
            yield Found(
                Severity.CRITICAL, "The DICOM door lets in a client that shows no certificate.", _REPORT, door.door
            )


def _certificate_ends(facts: Facts) -> Iterator[Found]:
    for door, shown in _certificates(facts):
        left = shown.not_after - facts.now
        if left > _SOON:
            continue
        said = f"The certificate of the door {door.door} {'ended' if left <= timedelta(0) else 'ends'} on "
        severity = Severity.HIGH if left <= _VERY_SOON else Severity.MEDIUM
        yield Found(severity, f"{said}{shown.not_after:%Y-%m-%d %H:%M} UTC.", _fix_of(shown), door.door)


def _not_yet(facts: Facts) -> Iterator[Found]:
    for door, shown in _certificates(facts):
        if shown.not_before > facts.now:
            said = f"The certificate of the door {door.door} counts from {shown.not_before:%Y-%m-%d %H:%M} UTC on only."
            fix = Fix("Set the machine's clock right; if it is right, have the certificate made anew.")
            yield Found(Severity.HIGH, said, fix, door.door)


def _weak_certificate(facts: Facts) -> Iterator[Found]:
    for door, shown in _certificates(facts):
        if shown.bits < _LEAST_BITS.get(shown.key, 10**6):
            yield Found(
                Severity.HIGH,
                f"The certificate of the door {door.door} has a key of {shown.bits} bits ({shown.key}).",
                Fix("Have one made with an EC key of 256 bits, or an RSA key of 3072.") if not shown.is_ours else _OWN,
                f"{door.door} key",
            )
        if shown.signed_with.lower() in {"md5", "sha1", "md2"}:
            yield Found(
                Severity.HIGH,
                f"The certificate of the door {door.door} is signed with {shown.signed_with.upper()}.",
                _fix_of(shown),
                f"{door.door} signature",
            )


def _wrong_name(facts: Facts) -> Iterator[Found]:
    for door, shown in _certificates(facts):
        missing = [name for name in door.reached_as if not _covers(shown.names, name)]
        if missing:
            yield Found(
                Severity.LOW,
                f"The certificate of the door {door.door} is not for {', '.join(missing[:3])}, by which it is reached: "
                "browsers warn, and people learn to click warnings away.",
                _fix_of(shown),
                door.door,
            )


def _covers(names: tuple[str, ...], wanted: str) -> bool:
    wanted = wanted.lower().rstrip(".")
    lowered = {name.lower() for name in names}
    if wanted in lowered:
        return True
    try:
        return str(ip_address(wanted)) in lowered
    except ValueError:
        return f"*.{wanted.partition('.')[2]}" in lowered


def _authority_ends(facts: Facts) -> Iterator[Found]:
    until = facts.authority_until
    if until is None:
        return
    left = until - facts.now
    if left <= timedelta(days=365):
        severity = Severity.MEDIUM if left > timedelta(days=90) else Severity.HIGH
        yield Found(
            severity,
            f"The archive's certificate authority ends on {until:%Y-%m-%d}; every device's certificate ends with it.",
            Fix("Plan to make a new authority and to enrol every device anew before that day."),
        )


def _no_web_address(facts: Facts) -> Iterator[Found]:
    web, address = facts.config.web, facts.config.web.address
    if any(door.door == "https" for door in facts.doors) and web.known_as and not address:
        yield Found(
            Severity.INFO,
            "[web] address is not set, so nobody signs in with a passkey, which cannot be phished.",
            Fix('Write how people reach the archive into leadglass.toml: [web] address = "https://NAME".'),
        )


CHECKS: Final = (
    Check(
        "client-certificate",
        Group.TRANSPORT,
        "Devices come in without a certificate",
        "The certificate is what proves a device; without it any machine is any device.",
        Severity.CRITICAL,
        ("PS3.15 B.12", "HIPAA 164.312(d)"),
        _no_client_certificate,
    ),
    Check(
        "tls-weak",
        Group.TRANSPORT,
        "A door agrees to old or weak encryption",
        "What is sent can be read, or changed, by who sits on the line.",
        Severity.HIGH,
        ("PS3.15 B.12", "HIPAA 164.312(e)(2)(ii)", "GDPR 32(1)(a)"),
        _weak,
    ),
    Check(
        "tls-profile",
        Group.TRANSPORT,
        "A door turns good encryption away",
        "Devices that follow the Standard cannot connect, and somebody will open a plaintext lane instead.",
        Severity.MEDIUM,
        ("PS3.15 B.12",),
        _not_modern,
    ),
    Check(
        "tls-cannot-open",
        Group.TRANSPORT,
        "A door would not open after a restart",
        "The archive runs now and will not come up again with what is configured.",
        Severity.HIGH,
        ("HIPAA 164.312(e)(1)",),
        _cannot_open,
    ),
    Check(
        "certificate-ends",
        Group.TRANSPORT,
        "A door's certificate ends soon",
        "After that day browsers and devices refuse the archive, or somebody switches checking off.",
        Severity.HIGH,
        ("PS3.15 B.12",),
        _certificate_ends,
    ),
    Check(
        "certificate-early",
        Group.TRANSPORT,
        "A door's certificate does not count yet",
        "Everybody is turned away; mostly the clock is wrong, and with it the audit log.",
        Severity.HIGH,
        ("PS3.15 B.12",),
        _not_yet,
    ),
    Check(
        "certificate-weak",
        Group.TRANSPORT,
        "A door's certificate has a weak key or signature",
        "Somebody can make one that looks the same, and sit between the archive and people.",
        Severity.HIGH,
        ("PS3.15 B.12", "HIPAA 164.312(e)(1)"),
        _weak_certificate,
    ),
    Check(
        "certificate-name",
        Group.TRANSPORT,
        "A door's certificate is for another name",
        "A warning that is always there is no warning.",
        Severity.LOW,
        ("PS3.15 B.12",),
        _wrong_name,
    ),
    Check(
        "authority-ends",
        Group.TRANSPORT,
        "The archive's certificate authority ends",
        "Every device is turned away on the day after.",
        Severity.HIGH,
        ("PS3.15 B.12",),
        _authority_ends,
    ),
    Check(
        "web-address",
        Group.TRANSPORT,
        "The archive does not know its own web address",
        "Passkeys and single sign-on are bound to it.",
        Severity.INFO,
        ("HIPAA 164.312(d)",),
        _no_web_address,
    ),
)
"""Their table."""
