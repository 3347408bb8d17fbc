"""Does FTP let anybody in, and do the names there look like DICOM."""

from leadglass.survey.check import Check, Known, Visit
from leadglass.survey.scope import Level
from leadglass.survey.speech import names
from leadglass.survey.speech.ftp import Ftp


async def run(visit: Visit) -> None:
    """Sign in as anonymous, count the names at the top, and at level 3 read how at most five files begin."""
    async with visit.connect() as line:
        speaker = Ftp(visit, line)
        if await speaker.greeting() != 220:
            return
        if not await speaker.sign_in():
            await speaker.part()
            return
        await speaker.say("TYPE I")
        listed = await speaker.names()
        found = names.unique(listed or ())
        looking = [name for name in found if names.looks_like_dicom(name)]
        read = confirmed = 0
        if visit.gate.scope.level >= Level.OPT_IN:
            for name in looking[: names.MOST_FILES]:
                begin = await speaker.take(
                    f"RETR {name}", names.BEGINNING, f"RETR the first {names.BEGINNING} bytes of a file"
                )
                if begin is not None:
                    read += 1
                    confirmed += names.is_dicom(begin)
        await speaker.part()
    visit.report(
        names.rung(len(looking), confirmed),
        names.proof(len(found), len(looking), confirmed, read),
        not_tested=names.not_tested(read)
        + (("The server let us in and did not list its files.",) if listed is None else ()),
    )


def _applies(known: Known, _port: int) -> bool:
    return known.service == "ftp"


CHECK = Check(
    id="ftp-anonymous",
    title="FTP lets anybody in.",
    level=Level.PROVE,
    sends="USER anonymous, NLST of the top folder, QUIT; at level 3 the first 132 bytes of at most five files.",
    fixes=("share-require-login", "firewall-shares"),
    controls=("HIPAA 164.312(a)(1)", "HIPAA 164.312(d)", "GDPR 32(1)(b)", "NIST CSF PR.AA-03", "IEC 80001-2-2 NAUT"),
    applies=_applies,
    run=run,
)
