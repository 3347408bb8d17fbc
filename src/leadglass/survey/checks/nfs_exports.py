"""Does a machine export folders by NFS to everybody: asked of its portmapper and its mountd (RFC 1833, RFC 1813 5)."""

from typing import Final

from leadglass.survey.check import Check, Known, Visit
from leadglass.survey.findings import Exposure
from leadglass.survey.scope import Level
from leadglass.survey.speech.rpc import Reader, call

PORTMAPPER_PORT: Final = 111
NFS_PORT: Final = 2049
_PORTMAPPER: Final = 100_000
_MOUNT: Final = 100_005
_TCP: Final = 6
_MOST: Final = 10_000
_EVERYBODY: Final = frozenset({b"*", b"(everyone)", b"0.0.0.0/0", b"0.0.0.0/0.0.0.0", b"::/0"})


async def run(visit: Visit) -> None:
    """Ask where mountd is, and what it exports; nothing is mounted."""
    port = PORTMAPPER_PORT if visit.port == NFS_PORT else visit.port
    async with visit.gate.connect(visit.address, port, visit.check.id) as line:
        wanted = b"".join(word.to_bytes(4, "big") for word in (_MOUNT, 3, _TCP, 0))
        mount = Reader(await call(line, _PORTMAPPER, 2, 3, "GETPORT of mountd", wanted)).word()
    if not 1 <= mount <= 65_535:
        return
    async with visit.gate.connect(visit.address, mount, visit.check.id, act="connect to mountd") as line:
        exports, everybody = count(await call(line, _MOUNT, 3, 5, "EXPORT"))
    visit.known.service = visit.known.service or "nfs"
    if not exports:
        return
    visit.report(
        Exposure.E4 if everybody else Exposure.E1,
        {"exports": exports, "to everybody": everybody},
        title=CHECK.title if everybody else "NFS tells its exports to anybody; they are for named machines.",
        not_tested=(
            "What lies in the exports: nothing was mounted.",
            "Servers that speak NFS 4 alone keep no such list.",
        ),
    )


def count(results: bytes) -> tuple[int, int]:
    """Count exports, and those that are for everybody."""
    reader = Reader(results)
    exports = everybody = 0
    while exports < _MOST and reader.word():
        reader.opaque()
        exports += 1
        groups = 0
        is_open = False
        while groups < _MOST and reader.word():
            is_open = reader.opaque() in _EVERYBODY or is_open
            groups += 1
        everybody += is_open or not groups
    return exports, everybody


def _applies(known: Known, port: int) -> bool:
    return known.is_open is not False and known.dicom is None and port in {PORTMAPPER_PORT, NFS_PORT}


CHECK = Check(
    id="nfs-exports",
    title="NFS exports folders to every machine.",
    level=Level.PROVE,
    sends="On ports 111 and 2049: GETPORT to the portmapper on port 111 of the same host, EXPORT to its mountd.",
    fixes=("share-require-login", "firewall-shares"),
    controls=("HIPAA 164.312(a)(1)", "HIPAA 164.312(d)", "GDPR 32(1)(b)", "NIST CSF PR.AA-03", "IEC 80001-2-2 NAUT"),
    applies=_applies,
    run=run,
)
