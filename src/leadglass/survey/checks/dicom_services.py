"""Which services does it grant to a stranger: all are proposed, none is used."""

from leadglass.survey.asking import asking
from leadglass.survey.check import Check, Known, Visit
from leadglass.survey.findings import Exposure
from leadglass.survey.scope import Level
from leadglass.survey.speech import dicom

_NONSENSE = 127
"""The presentation context of what does not exist."""

_WORDS = {
    "StudyRootQueryRetrieveInformationModelFind": "queries",
    "PatientRootQueryRetrieveInformationModelFind": "queries",
    "StudyRootQueryRetrieveInformationModelMove": "sending images elsewhere",
    "StudyRootQueryRetrieveInformationModelGet": "fetching images",
    "ModalityWorklistInformationModelFind": "worklists",
    "SecondaryCaptureImageStorage": "storing images",
    "StorageCommitmentPushModel": "storage commitment",
}


async def run(visit: Visit) -> None:
    """Propose every service, and one that does not exist, in one association."""
    known = visit.dicom
    proposed = (*dicom.contexts(dicom.VERIFICATION, *dicom.SERVICES), dicom.nonsense(_NONSENSE))
    async with asking(visit, known, proposed) as (speaker, answer):
        granted = speaker.granted()
    if answer.accept is None:
        return
    named = {context.id: dicom.SERVICES.get(context.abstract_syntax, "") for context in proposed}
    known.granted = tuple(name for number, name in named.items() if name and number in granted)
    known.grants_nonsense = _NONSENSE in granted
    if not known.granted:
        return
    words = dict.fromkeys(_WORDS[name] for name in known.granted)
    visit.report(
        Exposure.E2,
        {"granted": ", ".join(known.granted), "services": len(known.granted)},
        title=f"It grants services to anybody: {', '.join(words)}.",
        in_tls=known.in_tls,
        not_tested=(
            "Nothing was sent over what was granted: some archives grant a service, and refuse each use of it. "
            "Nothing is ever stored or fetched by a survey.",
        ),
    )


def _applies(known: Known, _port: int) -> bool:
    return known.dicom is not None and bool(known.dicom.takes_strangers)


CHECK = Check(
    id="dicom-services",
    title="It grants services to anybody.",
    level=Level.PROVE,
    sends="One A-ASSOCIATE-RQ that proposes query, retrieve, worklist, storage, commitment and a service that does not "
    "exist; a release. No message.",
    fixes=("dicom-limit-services", "dicom-know-your-callers", "firewall-dicom"),
    controls=("PS3.15 B.12", "HIPAA 164.312(a)(1)", "GDPR 32(1)(b)", "NIST CSF PR.AA-05", "IEC 80001-2-2 AUTH"),
    applies=_applies,
    run=run,
)
