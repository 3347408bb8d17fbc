"""Which flaws is its version known to have: looked up in our own table; nothing is sent, nothing is tried."""

from leadglass.survey.check import Check, Known, Visit
from leadglass.survey.findings import Exposure
from leadglass.survey.scope import Level
from leadglass.survey.speech.products import FLAWS_AS_OF, flaws_of


async def run(visit: Visit) -> None:
    """Look its version up."""
    known = visit.dicom
    flaws = flaws_of(known.product, known.version)
    if not flaws:
        return
    visit.report(
        Exposure.E2 if known.takes_strangers else Exposure.E1,
        {
            "product": known.product,
            "version": known.version,
            "flaws": ", ".join(flaw.name for flaw in flaws),
            "first": flaws[0].what,
            "table_of": FLAWS_AS_OF,
        },
        in_tls=known.in_tls,
        not_tested=(
            "None of the flaws was tried: they follow from the version it says it has. A distribution may have mended "
            "them without changing it, and a product built on this toolkit may not use the part concerned.",
        ),
        inferred=True,
    )


def _applies(known: Known, _port: int) -> bool:
    return known.dicom is not None and bool(known.dicom.version)


CHECK = Check(
    id="dicom-version",
    title="Its version is known to have flaws.",
    level=Level.IDENTIFY,
    sends="Nothing.",
    fixes=("update-product", "firewall-dicom"),
    controls=("HIPAA 164.308(a)(1)(ii)(A)", "GDPR 32(1)(d)", "NIST CSF ID.RA-01", "IEC 80001-2-2 CSUP"),
    applies=_applies,
    run=run,
)
