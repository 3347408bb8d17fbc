"""Does a called AE title that is printed in a manual open it: a few published defaults, and then no more."""

from leadglass.survey.asking import asking
from leadglass.survey.check import Check, Known, Visit
from leadglass.survey.findings import Exposure
from leadglass.survey.gate import Unreachable
from leadglass.survey.scope import Level
from leadglass.survey.speech import dicom, products
from leadglass.wire.pdu import CALLED_AE_TITLE_NOT_RECOGNIZED

DEFAULTS = ("ORTHANC", "DCM4CHEE", "COMMON", "CONQUESTSRV1")
"""Of Orthanc, dcm4chee, DCMTK's dcmqrscp and Conquest; the first that opens is the last that is tried."""


async def run(visit: Visit) -> None:
    """Try them one after the other, each time as a caller nobody knows."""
    known = visit.dicom
    for title in DEFAULTS:
        try:
            async with asking(visit, known, dicom.contexts(dicom.VERIFICATION), called=title) as (_, answer):
                pass
        except Unreachable:
            return
        if answer.accept is not None:
            known.takes_strangers, known.called = True, title
            known.product, known.version = products.dicom_product(
                answer.accept.implementation_class_uid, answer.accept.implementation_version_name
            )
            visit.report(
                Exposure.E2,
                {"called": title, "product": known.product or "unknown", "titles": "any calling AE title is taken"},
                in_tls=known.in_tls,
            )
            return
        if answer.rejection is None:
            visit.known.is_odd = True
            return
        if answer.rejection != CALLED_AE_TITLE_NOT_RECOGNIZED:
            visit.report(
                Exposure.E1,
                {"called": title, "reason": answer.rejection.text},
                title="It goes by a default AE title, and turns callers away whom it does not know.",
                in_tls=known.in_tls,
                not_tested=("Calling AE titles: none was guessed.",),
            )
            return


def _applies(known: Known, _port: int) -> bool:
    return (
        known.dicom is not None
        and known.dicom.takes_strangers is False
        and known.dicom.rejection == CALLED_AE_TITLE_NOT_RECOGNIZED.text
    )


CHECK = Check(
    id="dicom-titles",
    title="Nothing but a default called AE title stands between it and anybody.",
    level=Level.OPT_IN,
    sends="Up to four A-ASSOCIATE-RQ for Verification, each with a published default as called AE title. A release.",
    fixes=("dicom-check-called-title", "dicom-know-your-callers", "firewall-dicom"),
    controls=("PS3.15 B.12", "HIPAA 164.312(d)", "GDPR 32(1)(b)", "NIST CSF PR.AA-03", "IEC 80001-2-2 NAUT"),
    applies=_applies,
    run=run,
)
