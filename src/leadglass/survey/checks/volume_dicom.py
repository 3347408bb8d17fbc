"""How much is there, where an archive answers queries of anybody: UIDs and numbers of images, told as magnitudes."""

from typing import Final

from leadglass.survey.asking import asking
from leadglass.survey.check import Check, Known, Visit
from leadglass.survey.checks.volume import bucket
from leadglass.survey.findings import Exposure
from leadglass.survey.scope import Level
from leadglass.survey.speech import dicom

MOST: Final = 1_000
"""Studies that are counted before the query is cancelled."""


async def run(visit: Visit) -> None:
    """Ask once."""
    known = visit.dicom
    proposed = dicom.contexts(dicom.STUDY_ROOT_FIND)
    async with asking(visit, known, proposed) as (speaker, answer):
        if answer.accept is None or proposed[0].id not in speaker.granted():
            return
        counted = await speaker.count_studies(proposed[0].id, MOST)
    if not counted.studies:
        return  # nothing is there, or it is kept from strangers: that it answers at all is another finding
    visit.report(
        Exposure.E5,
        {
            "studies": _told(counted.studies, is_all=counted.is_all),
            "images": _told(counted.images, is_all=counted.is_all) if counted.is_told else "not told",
        },
        in_tls=known.in_tls,
        not_tested=("No study was opened: of each its UID and its number of images were asked for, and forgotten.",),
    )


def _told(count: int, *, is_all: bool) -> str:
    """Give the order of magnitude, or the least that it is where not all was counted."""
    told = bucket(count)
    return told if is_all or count <= 0 else f"{told.partition('-')[0]} or more"


def _applies(known: Known, _port: int) -> bool:
    return known.dicom is not None and known.dicom.answers_queries is True


CHECK = Check(
    id="volume-dicom",
    title="Studies are told to anybody who asks.",
    level=Level.OPT_IN,
    sends="One C-FIND at study level for StudyInstanceUID and NumberOfStudyRelatedInstances, cancelled behind "
    f"{MOST:,} studies; a release.",
    fixes=("dicom-know-your-callers", "firewall-dicom"),
    controls=("PS3.15 B.12", "HIPAA 164.312(a)(1)", "GDPR 32(1)(b)", "NIST CSF PR.DS-01", "IEC 80001-2-2 AUTH"),
    applies=_applies,
    run=run,
)
