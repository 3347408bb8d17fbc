"""Words for roles and scopes: what each means, in a sentence, and how a form says them.

Rule: the sentence says what somebody does with it and what not; what it really may do is in ``policy.roles``.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from leadglass.doors.pages.scopes import spoken
from leadglass.policy.roles import NEEDS_NO_IMAGES, Role, own_scope
from leadglass.policy.scope import Scope
from leadglass.policy.scope_words import parse_scope, write_scope

SENTENCES: Final[Mapping[Role, str]] = MappingProxyType(
    {
        Role.RADIOLOGIST: "Finds and reads studies, adds findings and shares studies.",
        Role.TECHNOLOGIST: "Makes images: stores studies, and puts right or deletes what went wrong.",
        Role.REFERRER: "Reads the studies that you name for them, and no others.",
        Role.RESEARCHER: "Reads studies without who they are of.",
        Role.AUDITOR: "Reads the audit log and reviews emergencies. Sees no images.",
        Role.ADMIN: "Looks after people, programs, devices and settings. Sees no images, and not the audit log.",
        Role.SERVICE: "A program: finds, reads and stores studies. For people, choose another.",
    }
)
"""Role → what it is for; in the order in which they are offered."""

SCOPE_HELP: Final = (
    ("patient=4711", "the studies of the patient with this Patient ID, where no issuer of it is named"),
    ("patient@HOSPITAL=4711", "the same of a Patient ID that this issuer gave; * for any issuer, or none"),
    ("study=1.2.840.1", "one study, by its Study Instance UID"),
    ("source=CT1", "what the device with this AE title sent"),
    ("label=neurology", "studies that were given this label"),
    ("referrer=Doe^Jane", "studies of patients whom this person referred"),
    ("all", "every study"),
)
"""How a scope is written, and what it means."""


def said_scope(role: Role, scope: Scope | None) -> str:
    """Say which studies somebody may see, without naming patients."""
    if role in NEEDS_NO_IMAGES:
        return "no images"
    return spoken(own_scope(role) if scope is None else scope)


def is_blind(role: Role, scope: Scope | None) -> bool:
    """Say whether somebody works with images and may see none."""
    return role not in NEEDS_NO_IMAGES and (own_scope(role) if scope is None else scope).is_nothing


def scope_of(text: str) -> Scope | None:
    """Read what a form says of a scope: a word a line; None when it says nothing.

    Raises
    ------
    BadInput
    """
    words = [line.strip() for line in text.splitlines() if line.strip()]
    return parse_scope(words) if words else None


def written(role: Role, scope: Scope | None) -> str:
    """Write a scope for a form; empty where the role covers it by itself."""
    if role in NEEDS_NO_IMAGES or scope is None or scope == own_scope(role):
        return ""
    return "\n".join(write_scope(scope))
