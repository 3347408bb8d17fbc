"""What its certificate is worth: its days, its key, and whether it names the host; nothing is sent for it."""

from leadglass.survey.check import Check, Known, Visit
from leadglass.survey.findings import Exposure
from leadglass.survey.scope import Level

_SOON = 30
"""Days before its end in which a certificate is to be renewed."""

_LONG = 398 * 3
"""Days after which nobody remembers how a certificate is renewed."""

_LEAST_RSA = 2048


async def run(visit: Visit) -> None:
    """Judge what the handshake showed."""
    facts = visit.known.tls
    if facts is None or facts.days_left is None:
        return
    kind, _, bits = facts.key.partition(" ")
    bad = [
        text
        for is_so, text in (
            (facts.days_left < 0, "it has expired"),
            (0 <= facts.days_left < _SOON, f"it ends within {_SOON} days"),
            (facts.days_valid > _LONG, "it is valid for more than three years"),
            (facts.is_sha1, "it is signed with SHA-1 or MD5"),
            (kind == "RSA" and int(bits or 0) < _LEAST_RSA, f"its RSA key has fewer than {_LEAST_RSA} bits"),
            (facts.is_self_signed, "it is its own authority"),
            (facts.names_host is False, "it names neither this address nor this host"),
        )
        if is_so
    ]
    if not bad:
        return
    visit.report(
        Exposure.E1,
        {"days_left": facts.days_left, "days_valid": facts.days_valid, "key": facts.key, "faults": len(bad)},
        title=f"Its certificate has faults: {', '.join(bad)}.",
        in_tls=True,
        not_tested=("Whether its authority is one of yours: the survey trusts none.",),
    )


def _applies(known: Known, _port: int) -> bool:
    return known.tls is not None and known.tls.days_left is not None


CHECK = Check(
    id="dicom-certificate",
    title="Its certificate has faults.",
    level=Level.IDENTIFY,
    sends="Nothing: it looks at what a handshake before showed.",
    fixes=("renew-certificate",),
    controls=("PS3.15 B.12", "HIPAA 164.312(d)", "GDPR 32(1)(a)", "NIST CSF PR.DS-02", "IEC 80001-2-2 NAUT"),
    applies=_applies,
    run=run,
)
