"""What is listed of people, as JSON: the same words at every door.

Rule: a secret is in none of it; who may see the list is decided where it is made.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from leadglass.identity.breakglass import Glass
    from leadglass.identity.sessions import Session

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
        "reason": glass.reason,
        "made": glass.made.isoformat(),
        "until": glass.until.isoformat(),
        "from": glass.peer,
        "reviewed": glass.reviewed.isoformat() if glass.reviewed else None,
        "reviewer": glass.reviewer or None,
        "note": glass.note or None,
    }
