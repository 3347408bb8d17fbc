"""What greets us where neither DICOM nor a web page answers: FTP, rsync, SSH. Nothing is said to it."""

from contextlib import suppress
from typing import Final

from leadglass.survey.check import Check, Known, Visit
from leadglass.survey.gate import Closed
from leadglass.survey.scope import Level

_SECONDS: Final = 3.0

_GREETINGS: Final = ((b"@RSYNCD:", "rsync"), (b"SSH-", "ssh"), (b"220", "ftp"), (b"RFB ", "vnc"))


async def run(visit: Visit) -> None:
    """Listen for a few seconds."""
    async with visit.connect() as line:
        visit.known.is_open = True
        with suppress(Closed):
            said = await line.some(256, _SECONDS)
            name = next((name for begin, name in _GREETINGS if said.startswith(begin)), "")
            visit.known.service = "smtp" if name == "ftp" and b"SMTP" in said.upper() else name


def _applies(known: Known, _port: int) -> bool:
    if known.dicom is not None or known.http is not None or known.speaks_tls:
        return False  # it has said what it is; who speaks TLS waits for us
    return known.is_open is not False and not known.service


CHECK = Check(
    id="greeting",
    title="Something greets whoever connects.",
    level=Level.IDENTIFY,
    sends="Nothing: it connects, and listens for three seconds.",
    fixes=("look-closer",),
    controls=("NIST CSF ID.AM-03",),
    applies=_applies,
    run=run,
)
