"""Does SMB take anybody, and which files may nobody in particular read (MS-SMB2, MS-SRVS)."""

from dataclasses import dataclass
from typing import Final

from leadglass.survey.check import Check, Known, Visit
from leadglass.survey.findings import Exposure
from leadglass.survey.gate import Closed, Unreachable
from leadglass.survey.scope import Level
from leadglass.survey.speech import names
from leadglass.survey.speech.smb import Session, Share, Smb

NETBIOS_PORT: Final = 139
PORTS: Final = frozenset({445, NETBIOS_PORT})
_ENTERED: Final = 8
"""Shares that are entered; those that are meant for people first, those of administrators after them."""

_ANSWERS: Final = 10
"""Answers with names, of 64 KB each, of all shares together."""


@dataclass(slots=True)
class _Seen:
    shares: int = 0
    tried: int = 0
    entered: int = 0
    listed: int = 0
    writable: int = 0
    names: int = 0
    looking: int = 0
    read: int = 0
    confirmed: int = 0
    answers: int = _ANSWERS
    is_whole: bool = True


async def run(visit: Visit) -> None:
    """Ask for a session as a user whom nobody knows; where that is refused, as nobody."""
    try:
        await _run(visit)
    except Unreachable:
        if visit.known.is_open:
            raise
        visit.known.is_open = False


async def _run(visit: Visit) -> None:
    for anonymous in (False, True):
        async with visit.connect() as line:
            visit.known.is_open = True
            smb = Smb(line, in_netbios=visit.port == NETBIOS_PORT)
            try:
                if not await smb.negotiate():
                    return
            except Closed:
                if anonymous:
                    raise
                return  # it speaks something else, which others ask for
            visit.known.service = visit.known.service or "smb"
            session = await smb.sign_in(anonymous=anonymous)
            if session is None:
                continue
            shares = await smb.shares()
            seen = await _look(visit, smb, shares or [])
            await smb.part()
        _report(visit, session, seen, is_told=shares is not None)
        return


async def _look(visit: Visit, smb: Smb, shares: list[Share]) -> _Seen:
    """Enter a few shares, count the names at their tops, and at level 3 read how at most five files begin."""
    seen = _Seen(shares=sum(each.is_disk for each in shares))
    disks = sorted((each.name for each in shares if each.is_disk), key=lambda name: name.endswith("$"))
    for name in disks[:_ENTERED]:
        seen.tried += 1
        tree = await smb.enter(name)
        if tree is None:
            continue
        seen.entered += 1
        listed = await smb.top(tree, max(1, seen.answers // 2))
        if listed is not None:
            seen.listed += 1
            seen.writable += tree.is_writable
            seen.is_whole = seen.is_whole and listed.is_whole
            seen.names += len(listed.entries)
            seen.answers -= listed.answers
            looking = [each for each in listed.entries if names.looks_like_dicom(each.name)]
            seen.looking += len(looking)
            if visit.gate.scope.level >= Level.OPT_IN:
                files = [each.name for each in looking if not each.is_folder]
                for file in files[: names.MOST_FILES - seen.read]:
                    begin = await smb.beginning(tree, file, names.BEGINNING)
                    if begin is not None:
                        seen.read += 1
                        seen.confirmed += names.is_dicom(begin)
        await smb.leave(tree)
    return seen


def _report(visit: Visit, session: Session, seen: _Seen, *, is_told: bool) -> None:
    proof: dict[str, str | int] = {"session": session.value}
    if is_told:
        proof |= {"shares": seen.shares, "tried": seen.tried, "open to anybody": seen.listed}
    if seen.listed:
        proof |= {"say that anybody may write": seen.writable} if seen.writable else {}
        proof |= names.proof(seen.names, seen.looking, seen.confirmed, seen.read)
        visit.report(
            names.rung(seen.looking, seen.confirmed),
            proof,
            not_tested=names.not_tested(seen.read)
            + (("Whether anybody may write: nothing was.",) if seen.writable else ())
            + (() if seen.is_whole else ("Names beyond the first thousands were not counted.",))
            + _beyond(seen),
        )
    elif session is not Session.NULL:
        visit.report(
            Exposure.E2,
            proof,
            title="SMB makes a guest of anybody.",
            not_tested=("Shares that are not told to a guest.", *_beyond(seen)),
        )
    elif is_told and seen.shares:  # a session of nobody alone is what most servers grant, and opens nothing
        visit.report(
            Exposure.E1,
            proof,
            title="SMB tells its shares to anybody, and lets nobody into one.",
            not_tested=("Shares that are not told to strangers.", *_beyond(seen)),
        )


def _beyond(seen: _Seen) -> tuple[str, ...]:
    return () if seen.tried == seen.shares else (f"Shares beyond the first {_ENTERED}.",)


def _applies(known: Known, port: int) -> bool:
    return known.is_open is not False and known.dicom is None and known.http is None and port in PORTS


CHECK = Check(
    id="smb-guest",
    title="SMB shares are open to anybody.",
    level=Level.PROVE,
    sends="On ports 445 and 139: one session of a random user with a random password, or of nobody; the list of "
    "shares, the names at the top of at most eight, LOGOFF; at level 3 the first 132 bytes of at most five files.",
    fixes=("share-require-login", "firewall-shares"),
    controls=("HIPAA 164.312(a)(1)", "HIPAA 164.312(d)", "GDPR 32(1)(b)", "NIST CSF PR.AA-03", "IEC 80001-2-2 NAUT"),
    applies=_applies,
    run=run,
)
