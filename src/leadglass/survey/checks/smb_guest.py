"""Does SMB take anybody as a guest: a session asked for by a user whom nobody knows (MS-SMB2 3.2.4.2, MS-NLMP)."""

import secrets
from typing import Final

from leadglass.survey.check import Check, Known, Visit
from leadglass.survey.findings import Exposure
from leadglass.survey.gate import Closed, Line
from leadglass.survey.scope import Level

PORTS: Final = frozenset({445, 139})
_NEGOTIATE, _SESSION_SETUP, _LOGOFF = 0, 1, 2
_DIALECTS: Final = (0x0202, 0x0210, 0x0300)
_MORE: Final = 0xC000_0016
_IS_GUEST: Final = 1
_FLAGS: Final = 0x0008_8207
"""Unicode, OEM, target wanted, NTLM, always sign, extended session security."""
_MOST: Final = 64 * 1024


async def run(visit: Visit) -> None:
    """Negotiate, sign in as nobody, see whether that makes one a guest, and log off."""
    async with visit.connect() as line:
        status, _, _ = await _ask(line, _NEGOTIATE, 0, 0, _negotiate(), "SMB2 NEGOTIATE")
        if status != 0:
            return
        visit.known.service = visit.known.service or "smb"
        first = b"NTLMSSP\0" + _word(1) + _word(_FLAGS) + bytes(16)
        status, session, _ = await _ask(line, _SESSION_SETUP, 1, 0, _setup(first), "SMB2 SESSION_SETUP, 1 of 2")
        if status != _MORE:
            return
        status, session, body = await _ask(
            line, _SESSION_SETUP, 2, session, _setup(_authenticate()), "SMB2 SESSION_SETUP as nobody, 2 of 2"
        )
        if status != 0:
            return
        is_guest = bool(int.from_bytes(body[2:4], "little") & _IS_GUEST)
        await _ask(line, _LOGOFF, 3, session, b"\4\0\0\0", "SMB2 LOGOFF")
    if is_guest:
        visit.report(
            Exposure.E2,
            {"session": "guest"},
            not_tested=("Which shares a guest may read: none was listed or opened.",),
        )


def _word(value: int) -> bytes:
    return value.to_bytes(4, "little")


def _short(value: int) -> bytes:
    return value.to_bytes(2, "little")


def _negotiate() -> bytes:
    dialects = b"".join(_short(each) for each in _DIALECTS)
    return _short(36) + _short(len(_DIALECTS)) + _short(1) + bytes(6) + secrets.token_bytes(16) + bytes(8) + dialects


def _setup(token: bytes) -> bytes:
    return _short(25) + b"\0\1" + bytes(8) + _short(64 + 24) + _short(len(token)) + bytes(8) + token


def _authenticate() -> bytes:
    """Give an AUTHENTICATE_MESSAGE (MS-NLMP 2.2.1.3) of a random user with a random answer."""
    user = f"leadglass-{secrets.token_hex(6)}".encode("utf-16-le")
    fields, payload, at = b"", b"", 64
    for value in (bytes(24), secrets.token_bytes(24), b"", user, b"", b""):
        fields += _short(len(value)) + _short(len(value)) + _word(at + len(payload))
        payload += value
    return b"NTLMSSP\0" + _word(3) + fields + _word(_FLAGS) + payload


async def _ask(line: Line, command: int, number: int, session: int, body: bytes, act: str) -> tuple[int, int, bytes]:
    """Send a request; gives status, session and body of its answer."""
    header = (
        b"\xfeSMB" + _short(64) + _short(1) + bytes(4) + _short(command) + _short(1) + bytes(8)
        + number.to_bytes(8, "little") + bytes(8) + session.to_bytes(8, "little") + bytes(16)
    )  # fmt: skip
    message = header + body
    await line.send(len(message).to_bytes(4, "big") + message, act)
    length = int.from_bytes(await line.exactly(4), "big")
    if not 64 <= length <= _MOST:
        raise Closed("What answers is not SMB.")
    answer = await line.exactly(length)
    if answer[:4] != b"\xfeSMB" or int.from_bytes(answer[12:14], "little") != command:
        raise Closed("What answers is not SMB 2 or 3.")
    return int.from_bytes(answer[8:12], "little"), int.from_bytes(answer[40:48], "little"), answer[64:]


def _applies(known: Known, port: int) -> bool:
    return known.is_open is not False and known.dicom is None and known.http is None and port in PORTS


CHECK = Check(
    id="smb-guest",
    title="SMB takes anybody as a guest.",
    level=Level.PROVE,
    sends="On ports 445 and 139: NEGOTIATE, one SESSION_SETUP of a random user with a random password, LOGOFF.",
    fixes=("share-require-login", "firewall-shares"),
    controls=("HIPAA 164.312(a)(1)", "HIPAA 164.312(d)", "GDPR 32(1)(b)", "NIST CSF PR.AA-03", "IEC 80001-2-2 NAUT"),
    applies=_applies,
    run=run,
)
