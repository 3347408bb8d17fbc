"""Does rsync tell its modules to anybody, let anybody into one, and do the names there look like DICOM."""

from dataclasses import dataclass
from typing import Final

from leadglass.survey.check import Check, Known, Visit
from leadglass.survey.findings import Exposure
from leadglass.survey.gate import Closed
from leadglass.survey.scope import Level
from leadglass.survey.speech import names
from leadglass.survey.speech.rsync import Entry, Rsync

_ENTERED: Final = 5
"""Modules of which it is seen whether a password is asked for."""


@dataclass(slots=True)
class _Seen:
    entered: int = 0
    listed: int = 0
    names: int = 0
    looking: int = 0
    read: int = 0
    confirmed: int = 0
    is_whole: bool = True


async def run(visit: Visit) -> None:
    """List the modules, see of a few whether a password is asked for, and list the tops of those without one."""
    async with visit.connect() as line:
        modules = await Rsync(line).modules()
    if not modules:
        return
    seen = _Seen()
    for name in modules[:_ENTERED]:
        try:
            await _look(visit, name, seen)
        except Closed:
            continue  # what was counted by then counts
    tried = min(len(modules), _ENTERED)
    proof: dict[str, str | int] = {"modules": len(modules), "tried": tried, "open to anybody": seen.entered}
    if seen.listed:
        proof |= names.proof(seen.names, seen.looking, seen.confirmed, seen.read)
        rung = names.rung(seen.looking, seen.confirmed)
        said = names.not_tested(seen.read) + (() if seen.is_whole else ("Names beyond the first thousands.",))
    else:
        rung = Exposure.E4 if seen.entered else Exposure.E1
        said = ("What lies in the modules: no file was named or read.",)
    visit.report(
        rung,
        proof,
        title=CHECK.title if seen.entered else "rsync tells its modules to anybody, and asks for a password.",
        not_tested=said + (() if tried == len(modules) else (f"Modules beyond the first {_ENTERED}.",)),
    )


async def _look(visit: Visit, module: str, seen: _Seen) -> None:
    async with visit.connect() as line:
        rsync = Rsync(line)
        if not await rsync.enter(module):
            return
        seen.entered += 1
        entries, is_whole = await rsync.top(module)
    seen.listed += 1
    seen.is_whole = seen.is_whole and is_whole
    top = [each for each in entries if each.name != b"."]
    looking = [each for each in top if names.looks_like_dicom(each.name.decode("utf-8", "replace"))]
    seen.names += len(top)
    seen.looking += len(looking)
    if visit.gate.scope.level >= Level.OPT_IN and is_whole:
        for file in [each for each in looking if each.is_file][: names.MOST_FILES - seen.read]:
            begin = await _beginning(visit, module, file)
            if begin is not None:
                seen.read += 1
                seen.confirmed += names.is_dicom(begin)


async def _beginning(visit: Visit, module: str, file: Entry) -> bytes | None:
    """Read how a file begins, over a connection of its own: its rest is not taken, and the line is closed."""
    async with visit.connect() as line:
        rsync = Rsync(line)
        if not await rsync.enter(module):
            return None
        entries, _ = await rsync.top(module)
        return await rsync.beginning(entries.index(file), names.BEGINNING) if file in entries else None


def _applies(known: Known, _port: int) -> bool:
    return known.service == "rsync"


CHECK = Check(
    id="rsync-modules",
    title="rsync lets anybody read a module.",
    level=Level.PROVE,
    sends="The request for the list of modules, and for the names at the top of at most five of them; at level 3 the "
    "first 132 bytes of at most five files.",
    fixes=("share-require-login", "firewall-shares"),
    controls=("HIPAA 164.312(a)(1)", "HIPAA 164.312(d)", "GDPR 32(1)(b)", "NIST CSF PR.AA-03", "IEC 80001-2-2 NAUT"),
    applies=_applies,
    run=run,
)
