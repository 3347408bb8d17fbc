"""What is listed of people, programs, devices and links, as JSON: the same words at every door.

Rule: a secret is in none of it; who may see the list is decided where it is made.
"""

from typing import TYPE_CHECKING

from leadglass.policy.scope_words import write_scope

if TYPE_CHECKING:
    from datetime import datetime

    from leadglass.identity.breakglass import Glass
    from leadglass.identity.device import Device
    from leadglass.identity.own_tokens import OwnToken
    from leadglass.identity.sessions import Session
    from leadglass.identity.share import Share
    from leadglass.identity.tokens import Token

Listed = dict[str, object]


def session_as_json(session: "Session") -> Listed:
    """Give where somebody is signed in."""
    return {
        "session": session.id,
        "from": session.peer,
        "since": session.made.isoformat(),
        "last_used": session.seen.isoformat(),
        "until": session.until.isoformat(),
        "proven_with": session.evidence,
        "browser": session.agent,
    }


def glass_as_json(glass: "Glass") -> Listed:
    """Give what was opened in an emergency; it names the patient."""
    return {
        "number": glass.number,
        "name": glass.name,
        glass.field.value: glass.value,
        **({"issuer": glass.issuer} if glass.issuer else {}),
        "reason": glass.reason,
        "made": glass.made.isoformat(),
        "until": glass.until.isoformat(),
        "from": glass.peer,
        "reviewed": glass.reviewed.isoformat() if glass.reviewed else None,
        "reviewer": glass.reviewer or None,
        "note": glass.note or None,
    }


def token_as_json(token: "Token", now: "datetime") -> Listed:
    """Give the token of a program."""
    return {
        "name": token.name,
        "id": token.id,
        "role": token.role.value,
        "scope": None if token.scope is None else list(write_scope(token.scope)),
        "bulk": token.bulk or None,
        "made": token.made.isoformat(),
        "made_by": token.made_by,
        **_standing(token, now),
    }


def own_token_as_json(token: "OwnToken", now: "datetime") -> Listed:
    """Give a token of somebody's own."""
    return {
        "name": token.name,
        "id": token.id,
        "owner": token.owner,
        "role": token.role.value,
        "scope": list(write_scope(token.scope)),
        "made": token.made.isoformat(),
        "made_by": f"person:{token.owner}",
        **_standing(token, now),
    }


def device_as_json(device: "Device") -> Listed:
    """Give an enrolled device."""
    return {
        "ae": device.ae_title,
        "addresses": [str(network) for network in device.addresses],
        "allow": sorted(device.allow),
        "plaintext": device.plaintext,
        "until": device.until.isoformat() if device.until else None,
        "why_plaintext": device.why_plaintext or None,
        "host": device.host or None,
        "port": device.port or None,
        "bulk": device.bulk or None,
        "bulk_until": device.bulk_until.isoformat() if device.bulk_until else None,
        "fingerprint": device.fingerprint or None,
        "certificate_until": device.certificate_until.isoformat() if device.certificate_until else None,
    }


def share_as_json(share: "Share", *, counts: bool) -> Listed:
    """Give a link; its note may name the patient."""
    return {
        "id": share.id,
        "way": share.kind.value,
        "issuer": share.issuer,
        "made": share.made.isoformat(),
        "until": share.until.isoformat(),
        "note": share.note,
        "studies": list(share.studies),
        "view": "masked" if share.is_masked else "full",
        "download": share.may_download,
        "asks_for": share.lock.value,
        "wrong_numbers": share.wrong,
        "opened": share.opened.isoformat() if share.opened else None,
        "ended": share.ended.isoformat() if share.ended else None,
        "why_ended": share.why_ended,
        "files": share.files,
        "octets": share.octets,
        "counts": counts,
    }


def _standing(token: "Token | OwnToken", now: "datetime") -> Listed:
    return {
        "until": token.until.isoformat(),
        "ended": token.ended.isoformat() if token.ended else None,
        "last_used": token.used.isoformat() if token.used else None,
        "counts": token.counts(now),
    }
