"""Does DICOM answer there, and whom: an association asked for with AE titles that nobody knows."""

import ssl

from leadglass.survey.check import Check, Dicom, Known, Visit
from leadglass.survey.findings import Exposure
from leadglass.survey.gate import Unreachable
from leadglass.survey.scope import Level
from leadglass.survey.speech import dicom, products
from leadglass.survey.speech.tls import lenient_context


async def run(visit: Visit) -> None:
    """Ask in the clear, then in TLS, until DICOM answers."""
    for context in (None, lenient_context()):
        try:
            async with visit.connect(tls=context) as line:
                visit.known.is_open = True
                speaker = dicom.Speaker(line)
                answer = await speaker.associate(
                    dicom.random_title(), dicom.random_title(), dicom.contexts(dicom.VERIFICATION)
                )
                await speaker.release()
        except Unreachable:
            return
        except (ssl.SSLError, OSError):
            continue
        if not answer.is_dicom:
            continue
        known = Dicom(in_tls=context is not None)
        visit.known.dicom = known
        if answer.accept is not None:
            known.takes_strangers = True
            known.product, known.version = products.dicom_product(
                answer.accept.implementation_class_uid, answer.accept.implementation_version_name
            )
        else:
            known.takes_strangers = False
            known.rejection = answer.rejection.text if answer.rejection is not None else "aborted"
        visit.report(
            Exposure.E2 if known.takes_strangers else Exposure.E1,
            {"answer": answer.nature.value, "product": known.product or "unknown"},
            title="It makes an association with anybody, whatever AE titles they give."
            if known.takes_strangers
            else "DICOM answers here, and turns strangers away.",
            in_tls=known.in_tls,
        )
        return


def _applies(known: Known, _port: int) -> bool:
    return known.is_open is not False and not known.is_odd and known.dicom is None


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
