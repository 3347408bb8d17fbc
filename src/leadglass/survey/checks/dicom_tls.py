"""What its TLS is made of: versions, suites, and whether both sides show who they are (PS3.15 B.12)."""

from datetime import UTC, datetime

from leadglass.survey.check import Check, Known, Tls, Visit
from leadglass.survey.findings import Exposure
from leadglass.survey.scope import Level
from leadglass.survey.speech import tls

_WEB_PORTS = frozenset({80, 443, 8042, 8080, 8443})


async def run(visit: Visit) -> None:
    """Shake hands as a modern client, then propose what nobody should take."""
    known = visit.known
    first = await _shake(visit, "modern")
    if not first.is_tls:
        return
    known.speaks_tls = True
    known.wants_certificate = first.needs_certificate
    if known.dicom is None and not first.needs_certificate:
        return  # TLS of something else
    facts = known.tls = Tls(version=first.version, suite=first.suite)
    _look(facts, first.certificate, (str(visit.address), *((visit.name,) if visit.name else ())))
    facts.speaks_old = (await _shake(visit, "old")).is_agreed
    facts.takes_weak = (await _shake(visit, "weak")).is_agreed
    _report(visit, facts, asks=first.asks_certificate or first.needs_certificate)


async def _shake(visit: Visit, kind: str) -> tls.Shake:
    context = {"modern": tls.modern_context, "old": tls.old_context, "weak": tls.weak_context}[kind]()
    async with visit.connect(act=f"connect for a {kind} TLS handshake") as line:
        return await tls.shake(line, context, visit.name)


def _look(facts: Tls, der: bytes, names: tuple[str, ...]) -> None:
    read = tls.read_certificate(der, datetime.now(UTC), names) if der else None
    if read is not None:
        facts.days_left, facts.days_valid, facts.key = read.days_left, read.days_valid, read.key
        facts.is_self_signed, facts.is_sha1, facts.names_host = read.is_self_signed, read.is_sha1, read.names_host


def _report(visit: Visit, facts: Tls, *, asks: bool) -> None:
    wants = bool(visit.known.wants_certificate)
    bad = [
        text
        for is_so, text in (
            (not facts.version, "nothing that PS3.15 B.12 asks for is spoken"),
            (facts.speaks_old, "TLS 1.1 or older is spoken"),
            (facts.takes_weak, "suites without forward secrecy or AEAD are taken"),
            (not wants, "nobody needs a certificate"),
        )
        if is_so
    ]
    proof: dict[str, str | int] = {
        "client_certificate": "needed" if wants else "asked for, and not needed" if asks else "not asked for",
        "newest": facts.version or "none of TLS 1.2 and 1.3",
        "old_versions": "yes" if facts.speaks_old else "no",
        "weak_suites": "yes" if facts.takes_weak else "no",
    }
    if facts.suite:
        proof["suite"] = facts.suite
    if wants and visit.known.dicom is None:
        is_web = visit.port in _WEB_PORTS
        title = "TLS answers here, and turns away who shows no certificate."
        title += f" Yet {' and '.join(bad)}." if bad else ""
        visit.report(
            Exposure.E0 if is_web else Exposure.E1,
            proof,
            title=title,
            in_tls=True,
            not_tested=("What is behind it: nothing is said to whom it does not know, and we showed no certificate.",),
        )
    elif bad:
        visit.report(
            Exposure.E2 if visit.known.dicom is not None and visit.known.dicom.takes_strangers else Exposure.E1,
            proof,
            title=f"Its TLS is weaker than PS3.15 B.12 asks for: {', '.join(bad)}.",
            in_tls=True,
            not_tested=(
                "Single suites: one was proposed for each kind, and what this machine's OpenSSL no longer speaks "
                "(SSL 2 and 3) was not.",
            ),
        )


def _applies(known: Known, _port: int) -> bool:
    if known.dicom is not None:
        return known.dicom.in_tls
    return bool(known.speaks_tls) and known.wants_certificate is not False


CHECK = Check(
    id="dicom-tls",
    title="Its TLS is weaker than PS3.15 B.12 asks for.",
    level=Level.IDENTIFY,
    sends="Three TLS handshakes: as a modern client, with nothing newer than TLS 1.1, with weak suites only.",
    fixes=("dicom-tls", "dicom-mutual-tls"),
    controls=("PS3.15 B.12", "HIPAA 164.312(e)(1)", "GDPR 32(1)(a)", "NIST CSF PR.DS-02", "IEC 80001-2-2 TXCF"),
    applies=_applies,
    run=run,
)
