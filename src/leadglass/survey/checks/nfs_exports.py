"""Does a machine export folders by NFS to everybody: asked of NFS 4, and of its portmapper and mountd.

RFC 7530, RFC 1833, RFC 1813 5.
"""

from dataclasses import dataclass
from typing import Final

from leadglass.survey.check import Check, Known, Visit
from leadglass.survey.findings import Exposure
from leadglass.survey.gate import Closed, Unreachable
from leadglass.survey.scope import Level
from leadglass.survey.speech import names
from leadglass.survey.speech.nfs import OK, OTHER_MINOR, Nfs4, Tree
from leadglass.survey.speech.rpc import Reader, call, words

PORTMAPPER_PORT: Final = 111
NFS_PORT: Final = 2049
_PORTMAPPER: Final = 100_000
_MOUNT: Final = 100_005
_TCP: Final = 6
_MOST: Final = 10_000
_EVERYBODY: Final = frozenset({b"*", b"(everyone)", b"0.0.0.0/0", b"0.0.0.0/0.0.0.0", b"::/0"})
_TOLD: Final = "NFS tells its exports to anybody; they are for named machines."
_NEWER: Final = "NFS answers here in a version that the survey does not speak."


@dataclass(slots=True)
class _Seen:
    tree: Tree | None = None
    """What NFS 4 shows to nobody."""
    is_reserved: bool = False
    looking: int = 0
    read: int = 0
    confirmed: int = 0
    exports: int | None = None
    """What mountd lists; None where there is none to ask."""
    everybody: int = 0


async def run(visit: Visit) -> None:
    """Ask NFS 4 for what nobody may see, then the portmapper where mountd is, and that what it exports."""
    seen = _Seen()
    if visit.port != PORTMAPPER_PORT:
        try:
            await _ask_nfs4(visit, seen)
        except Unreachable:
            if visit.known.is_open:
                raise
            visit.known.is_open = False
            return
    try:
        await _ask_mountd(visit, seen)
    except Unreachable:
        pass  # NFS 4 needs neither
    finally:
        if seen.tree is not None or seen.exports is not None:
            visit.known.service = visit.known.service or "nfs"
        _report(visit, seen)


async def _ask_nfs4(visit: Visit, seen: _Seen) -> None:
    async with visit.gate.connect(visit.address, visit.port, visit.check.id, reserved=True) as line:
        visit.known.is_open = True
        seen.is_reserved = line.is_reserved
        nfs = Nfs4(line)
        try:
            tree = await nfs.tree()
        except Closed:
            return  # NFS 3 alone, or something else, which others ask for
        seen.tree = tree
        looking = [(path, each) for path, each in tree.entries if names.looks_like_dicom(each.name.decode("latin-1"))]
        seen.looking = len(looking)
        if visit.gate.scope.level >= Level.OPT_IN:
            files = [(*path, each.name) for path, each in looking if each.is_file]
            for file in files[: names.MOST_FILES]:
                begin = await nfs.beginning(file, names.BEGINNING)
                if begin is not None:
                    seen.read += 1
                    seen.confirmed += names.is_dicom(begin)


async def _ask_mountd(visit: Visit, seen: _Seen) -> None:
    port = PORTMAPPER_PORT if visit.port == NFS_PORT else visit.port
    try:
        async with visit.gate.connect(visit.address, port, visit.check.id) as line:
            wanted = words(_MOUNT, 3, _TCP, 0)
            mount = Reader(await call(line, _PORTMAPPER, 2, 3, "GETPORT of mountd", wanted)).word()
    except Closed:
        return  # what listens there is no portmapper
    if not 1 <= mount <= 65_535:
        return
    async with visit.gate.connect(visit.address, mount, visit.check.id, act="connect to mountd") as line:
        seen.exports, seen.everybody = count(await call(line, _MOUNT, 3, 5, "EXPORT"))


def _report(visit: Visit, seen: _Seen) -> None:
    proof: dict[str, str | int] = {}
    said: list[str] = []
    rung: Exposure | None = None
    if seen.exports:
        proof |= {"exports": seen.exports, "to everybody": seen.everybody}
        rung = Exposure.E4 if seen.everybody else Exposure.E1
        said.append("What lies in the exports of NFS 3: nothing was mounted.")
    tree = seen.tree
    if tree is not None and tree.tops:
        proof |= {"tops that NFS 4 lists": tree.tops} | dict(
            names.proof(len(tree.entries), seen.looking, seen.confirmed, seen.read)
        )
        rung = max(rung or Exposure.E0, names.rung(seen.looking, seen.confirmed))
        said += [
            "Folders further down were not looked into.",
            "What other users see: one asked as nobody, and whoever asks may say to be somebody.",
            *names.not_tested(seen.read)[1:],
            *(() if tree.is_whole else ("Folders and names beyond the first.",)),
        ]
    elif tree is not None and tree.status == OK and tree.closed:
        proof |= {"exports that NFS 4 does not open": tree.closed}
        rung = rung or Exposure.E1
    if tree is not None and not seen.is_reserved:
        said.append(
            "What NFS opens to ports below 1024 alone: run the survey as root to come from one, as anybody may."
        )
    title = CHECK.title if rung is not None and rung > Exposure.E1 else _TOLD
    if tree is not None and tree.status == OTHER_MINOR:
        title = title if rung is not None else _NEWER
        rung = rung or Exposure.E1
        said.append("NFS 4.1 and newer, the only ones of NFS 4 that it speaks.")
    if rung is None:
        return
    visit.report(
        rung,
        proof,
        title=title,
        not_tested=tuple(said),
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
    sends="On ports 2049 and 111: to NFS 4 READDIR from the root to the tops of exports, as nobody; GETPORT to the "
    "portmapper on port 111 of the same host, EXPORT to its mountd; at level 3 the first 132 bytes of at most five "
    "files.",
    fixes=("share-require-login", "firewall-shares"),
    controls=("HIPAA 164.312(a)(1)", "HIPAA 164.312(d)", "GDPR 32(1)(b)", "NIST CSF PR.AA-03", "IEC 80001-2-2 NAUT"),
    applies=_applies,
    run=run,
)
