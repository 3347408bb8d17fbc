"""Does rsync tell its modules to anybody, and let anybody into one."""

from typing import Final

from leadglass.survey.check import Check, Known, Visit
from leadglass.survey.findings import Exposure
from leadglass.survey.gate import Closed
from leadglass.survey.scope import Level
from leadglass.survey.speech.lines import Lines

_HELLO: Final = b"@RSYNCD: 31.0 sha512 sha256 sha1 md5 md4\n"
_MOST_MODULES: Final = 256
_ENTERED: Final = 5
"""Modules of which it is seen whether a password is asked for."""


async def run(visit: Visit) -> None:
    """List the modules; see of a few whether a password is asked for, and leave before a file is named."""
    modules = await _modules(visit)
    if not modules:
        return
    entered = 0
    for name in modules[:_ENTERED]:
        try:
            entered += await _is_open(visit, name)
        except Closed:
            continue
    tried = min(len(modules), _ENTERED)
    visit.report(
        Exposure.E4 if entered else Exposure.E1,
        {"modules": len(modules), "tried": tried, "open to anybody": entered},
        title=CHECK.title if entered else "rsync tells its modules to anybody, and asks for a password.",
        not_tested=("What lies in the modules: no file was named or read.",),
    )


async def _modules(visit: Visit) -> list[str]:
    async with visit.connect() as line:
        lines = Lines(line)
        if not (await lines.next()).startswith("@RSYNCD: "):
            return []
        await line.send(_HELLO + b"#list\n", "ask for the list of modules")
        found: list[str] = []
        for _ in range(4 * _MOST_MODULES):
            said = await lines.next()
            if said.startswith(("@RSYNCD: EXIT", "@ERROR")):
                break
            name, tab, _ = said.partition("\t")  # what has no tab is the message of the day
            if tab and len(found) < _MOST_MODULES:
                found.append(name.rstrip())
        return found


async def _is_open(visit: Visit, module: str) -> bool:
    async with visit.connect() as line:
        lines = Lines(line)
        await lines.next()
        await line.send(_HELLO + module.encode("utf-8", "replace") + b"\n", "ask for a module")
        for _ in range(_MOST_MODULES):
            said = await lines.next()
            if said.startswith("@RSYNCD: OK"):
                return True
            if said.startswith(("@RSYNCD: ", "@ERROR")):
                return False
        return False


def _applies(known: Known, _port: int) -> bool:
    return known.service == "rsync"


CHECK = Check(
    id="rsync-modules",
    title="rsync lets anybody read a module.",
    level=Level.PROVE,
    sends="The request for the list of modules, and for at most five of them; no file is named.",
    fixes=("share-require-login", "firewall-shares"),
    controls=("HIPAA 164.312(a)(1)", "HIPAA 164.312(d)", "GDPR 32(1)(b)", "NIST CSF PR.AA-03", "IEC 80001-2-2 NAUT"),
    applies=_applies,
    run=run,
)
