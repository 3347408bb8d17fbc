"""Does it answer queries of strangers: asked for a study that does not exist, so that nobody is an answer."""

from leadglass.survey.asking import asking
from leadglass.survey.check import Check, Known, Visit
from leadglass.survey.findings import Exposure
from leadglass.survey.scope import Level
from leadglass.survey.speech import dicom

_FIND = dicom.SERVICES[dicom.STUDY_ROOT_FIND]


async def run(visit: Visit) -> None:
    """Ask once."""
    known = visit.dicom
    proposed = dicom.contexts(dicom.STUDY_ROOT_FIND)
    async with asking(visit, known, proposed) as (speaker, answer):
        if answer.accept is None or proposed[0].id not in speaker.granted():
            known.answers_queries = False
            return
        queried = await speaker.null_query(proposed[0].id)
    known.answers_queries = queried.status == 0 or queried.gave_records
    if queried.gave_records:
        visit.known.is_odd = True  # whoever ignores what is asked is asked nothing more
        visit.report(
            Exposure.E5,
            {"asked_for": "a study that does not exist", "answer": "records, dropped unread", "aborted": "yes"},
            title="It gives records to anybody, even to who asks for a study that does not exist.",
            in_tls=known.in_tls,
            not_tested=(
                "What the records are, and how many: the first was dropped unread, and the association aborted.",
            ),
        )
    elif queried.status == 0:
        visit.report(
            Exposure.E3,
            {"asked_for": "a study that does not exist", "status": "0000H", "records": 0},
            in_tls=known.in_tls,
            not_tested=(
                "Whether there are records: the question has no answer by design.",
                "Whether it hides from strangers what it has: a real question would have to be asked for that.",
            ),
        )
    elif queried.status is None and not queried.was_aborted:
        visit.known.is_odd = True


def _applies(known: Known, _port: int) -> bool:
    if known.dicom is None or not known.dicom.takes_strangers:
        return False
    return known.dicom.granted is None or _FIND in known.dicom.granted


CHECK = Check(
    id="dicom-query",
    title="It answers queries of anybody: one of those the press counts as open archives.",
    level=Level.PROVE,
    sends="One C-FIND at study level for a random StudyInstanceUID that nothing in the world has; a release.",
    fixes=("dicom-know-your-callers", "firewall-dicom"),
    controls=("PS3.15 B.12", "HIPAA 164.312(a)(1)", "GDPR 32(1)(b)", "NIST CSF PR.AA-05", "IEC 80001-2-2 AUTH"),
    applies=_applies,
    run=run,
)
