"""Does DICOM answer there, and whom: an association asked for with AE titles that nobody knows."""

import ssl

from leadglass.survey.check import Check, Dicom, Known, Visit
from leadglass.survey.findings import Exposure
from leadglass.survey.gate import Unreachable
from leadglass.survey.scope import Level
from leadglass.survey.speech import dicom, products
from leadglass.survey.speech.dicom import Answer, Nature
from leadglass.survey.speech.tls import lenient_context, wants_certificate
from leadglass.wire.pdu import (
    CALLED_AE_TITLE_NOT_RECOGNIZED,
    CALLING_AE_TITLE_NOT_RECOGNIZED,
    Rejection,
)

_NOT_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNEXPECTED_EOF")


async def run(visit: Visit) -> None:
    """Ask in the clear, then in TLS, until DICOM answers."""
    answer = await _in_clear(visit)
    if answer is None:
        return
    in_tls = False
    if not answer.is_dicom:
        if answer.nature is Nature.NOT_DICOM and not answer.may_be_tls:
            return  # something else greets us here
        answer = await _in_tls(visit)
        in_tls = True
    if answer is None or not answer.is_dicom:
        return
    known = visit.known.dicom = Dicom(in_tls=in_tls)
    if answer.accept is not None:
        known.takes_strangers = True
        known.product, known.version = products.dicom_product(
            answer.accept.implementation_class_uid, answer.accept.implementation_version_name
        )
    else:
        known.takes_strangers = False
        known.rejection = answer.rejection.text if answer.rejection is not None else "aborted"
        visit.known.is_odd = answer.nature is Nature.ABORTED
    _report(visit, known, answer)


async def _in_clear(visit: Visit) -> Answer | None:
    try:
        async with visit.connect() as line:
            visit.known.is_open = True
            return await _ask(dicom.Speaker(line))
    except Unreachable:
        visit.known.is_open = False
        return None


async def _in_tls(visit: Visit) -> Answer | None:
    try:
        async with visit.connect(tls=lenient_context()) as line:
            visit.known.speaks_tls = True
            answer = await _ask(dicom.Speaker(line))
            # where it just closes, its alert may have been lost with what we said too early
            visit.known.wants_certificate = (
                None if answer.nature is Nature.CLOSED else answer.nature is Nature.CERTIFICATE
            )
            return answer
    except Unreachable as error:
        if isinstance(error.__cause__, TimeoutError):
            visit.known.speaks_tls = False  # it is there, and a ClientHello is nothing to it
        return None
    except ssl.SSLError as error:
        reason = (error.reason or "").upper().replace(" ", "_")
        visit.known.speaks_tls = bool(reason) and not any(each in reason for each in _NOT_TLS)
        if wants_certificate(error):
            visit.known.wants_certificate = True
        return None


async def _ask(speaker: dicom.Speaker) -> Answer:
    answer = await speaker.associate(dicom.random_title(), dicom.random_title(), dicom.contexts(dicom.VERIFICATION))
    await speaker.release()
    return answer


def _who(rejection: Rejection | None) -> str:
    """Say what it looks at, by why it refused two titles that nobody knows (PS3.8 Table 9-21)."""
    match rejection:
        case Rejection(1, 1, CALLED_AE_TITLE_NOT_RECOGNIZED.reason):
            return "the called AE title is checked"
        case Rejection(1, 1, CALLING_AE_TITLE_NOT_RECOGNIZED.reason):
            return "the calling AE title is checked"
        case _:
            return "something is checked; it does not say what"


def _report(visit: Visit, known: Dicom, answer: Answer) -> None:
    proof: dict[str, str | int] = {"answer": answer.nature.value}
    if known.takes_strangers:
        proof |= {"titles": "any called and any calling AE title is taken", "product": known.product or "unknown"}
        if known.version:
            proof["version"] = known.version
        visit.report(
            Exposure.E2,
            proof,
            title="It makes an association with anybody, whatever AE titles they give.",
            in_tls=known.in_tls,
            not_tested=("What it does for whom it lets in: that is what checks of level 2 ask.",)
            if visit.gate.scope.level < Level.PROVE
            else (),
        )
        return
    proof |= {"titles": _who(answer.rejection), "reason": known.rejection}
    visit.report(
        Exposure.E1,
        proof,
        title="DICOM answers here, and turns strangers away.",
        in_tls=known.in_tls,
        not_tested=(
            "Whether it answers under AE titles that it knows: an AE title is no secret, and no proof of who calls.",
        ),
    )


def _applies(known: Known, _port: int) -> bool:
    return known.is_open is not False and not known.is_odd and known.dicom is None and not known.service


CHECK = Check(
    id="dicom-answers",
    title="DICOM answers here.",
    level=Level.IDENTIFY,
    sends="One A-ASSOCIATE-RQ with random AE titles that proposes Verification; then once more in TLS. A release.",
    fixes=("dicom-know-your-callers", "firewall-dicom"),
    controls=("PS3.15 B.12", "HIPAA 164.312(d)", "GDPR 32(1)(b)", "NIST CSF PR.AA-03", "IEC 80001-2-2 NAUT"),
    applies=_applies,
    run=run,
)
