"""Does it ask who the user is: a user that nobody knows is named, and a confirmation asked for (PS3.7 D.3.3.7)."""

from leadglass.survey.asking import asking
from leadglass.survey.check import Check, Known, Visit
from leadglass.survey.findings import Exposure
from leadglass.survey.scope import Level
from leadglass.survey.speech import dicom


async def run(visit: Visit) -> None:
    """Ask once, as a user."""
    known = visit.dicom
    async with asking(visit, known, dicom.contexts(dicom.VERIFICATION), user=dicom.random_user()) as (_, answer):
        pass
    if answer.accept is not None and answer.accept.user_identity_response is not None:
        said, title = "confirmed", "It confirms a user whom nobody knows, and lets in who names none."
    elif answer.accept is not None:
        said, title = "ignored", "It does not ask who the user is, and does not look at it when told."
    elif answer.rejection is not None:
        said, title = "refused", "It refuses a user whom it does not know, and lets in who names none."
    else:
        return
    visit.report(
        Exposure.E2,
        {"user_identity": said},
        title=title,
        in_tls=known.in_tls,
        not_tested=("User names that exist, and passcodes: none was tried.",),
    )


def _applies(known: Known, _port: int) -> bool:
    return known.dicom is not None and bool(known.dicom.takes_strangers)


CHECK = Check(
    id="dicom-identity",
    title="It does not ask who the user is.",
    level=Level.PROVE,
    sends="One A-ASSOCIATE-RQ for Verification with a random user name and no passcode; a release.",
    fixes=("dicom-user-identity", "dicom-mutual-tls", "dicom-know-your-callers"),
    controls=("PS3.15 B.12", "HIPAA 164.312(d)", "GDPR 32(1)(b)", "NIST CSF PR.AA-03", "IEC 80001-2-2 PAUT"),
    applies=_applies,
    run=run,
)
