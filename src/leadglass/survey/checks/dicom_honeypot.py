"""Is it a trap rather than an archive: signs, from what the checks before saw; nothing is sent."""

from leadglass.survey.check import Check, Dicom, Known, Visit
from leadglass.survey.findings import Exposure
from leadglass.survey.scope import Level
from leadglass.survey.speech.products import NO_ARCHIVES


def _signs(known: Dicom) -> tuple[str, ...]:
    return tuple(
        text
        for is_so, text in (
            (known.grants_nonsense, "it grants a service that does not exist, in a transfer syntax that does not"),
            (known.product in NO_ARCHIVES, "it is built on a toolkit that honeypots are built on"),
        )
        if is_so
    )


async def run(visit: Visit) -> None:
    """Say what it is known by."""
    known = visit.dicom
    known.signs = _signs(known)
    visit.report(
        Exposure.E1,
        {"signs": "; ".join(known.signs)},
        in_tls=known.in_tls,
        not_tested=("Whether it is one: ask whoever runs it. A test server has the same signs.",),
        inferred=True,
    )


def _applies(known: Known, _port: int) -> bool:
    return known.dicom is not None and bool(_signs(known.dicom))


CHECK = Check(
    id="dicom-honeypot",
    title="It may be a honeypot or a test server, and no archive.",
    level=Level.PROVE,
    sends="Nothing.",
    fixes=("know-your-assets",),
    controls=("NIST CSF ID.AM-02", "IEC 80001-2-2 NAUT"),
    applies=_applies,
    run=run,
)
