"""Negotiation: which presentation contexts a caller gets, in which transfer syntax and role.

Rule 1. A context is accepted only for what the caller was granted; that it was
accepted permits nothing, each request is decided again. Rule 2. For storing, the
sender's own order of transfer syntaxes holds, so that the original arrives; it
is left for one reason only, which ``for_storing`` gives. A context that we may
send over too gets what anything can be turned into, because a sender can turn
its instances into what it proposed, and we cannot compress. Rule 3. Extended
negotiation is answered with what we do, byte for byte as asked.
"""

from dataclasses import dataclass
from typing import Final

from leadglass.dicom import sop_classes
from leadglass.dicom.uids import (
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    is_transfer_syntax,
)
from leadglass.policy.action import Action
from leadglass.wire.association import Acceptance
from leadglass.wire.items import Role
from leadglass.wire.pdu import AssociateRequest, ProposedContext, Refusal

UNDERSTOOD: Final = (
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_BIG_ENDIAN,
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
)
"""What we read and write identifiers in, best first."""

_FIND_ANSWERS: Final = bytes([1, 1, 0, 0, 0, 1, 1])
"""PS3.4 Table C.5-2: relational queries yes, combined date-time matching yes, fuzzy semantic matching of person
names no, timezone adjustment no, enhanced multi-frame image conversion no, empty value matching yes, multiple
value matching yes."""

_RETRIEVE_ANSWERS: Final = bytes([1, 0])
"""PS3.4 C.5.2.1.1, C.5.3.1.1: relational retrieval yes, enhanced multi-frame image conversion no."""

_STORAGE_ANSWERS: Final = bytes([2, 0, 3, 0, 0])
"""PS3.4 B.3.1: level 2 (full) storage, signature level 3 (bit preserving), no coercion; two bytes reserved."""


@dataclass(frozen=True, slots=True)
class Services:
    """The SOP classes of the door and what asking for each means.

    Parameters
    ----------
    private_storage : frozenset of str
        Private storage SOP classes the operator listed.
    private_syntaxes : frozenset of str
        Private transfer syntaxes the operator listed.
    """

    private_storage: frozenset[str] = frozenset()
    private_syntaxes: frozenset[str] = frozenset()

    def is_storage(self, sop_class_uid: str) -> bool:
        """Say whether instances of this class are taken in."""
        return sop_class_uid in sop_classes.storage() or sop_class_uid in self.private_storage

    def can_keep(self, transfer_syntax_uid: str) -> bool:
        """Say whether data sets in this transfer syntax are taken in."""
        return is_transfer_syntax(transfer_syntax_uid) or transfer_syntax_uid in self.private_syntaxes

    def actions(self, context: ProposedContext, role: Role) -> frozenset[Action]:
        """Give what a proposed context asks for; nothing for a class that we do not serve."""
        uid = context.abstract_syntax
        if uid == sop_classes.VERIFICATION:
            return frozenset({Action.ECHO})
        if uid in sop_classes.FIND:
            return frozenset({Action.FIND})
        if uid in sop_classes.GET:
            return frozenset({Action.GET})
        if uid in sop_classes.MOVE:
            return frozenset({Action.MOVE})
        if uid == sop_classes.STORAGE_COMMITMENT_PUSH_MODEL:
            return frozenset({Action.COMMIT} if role.scu else set[Action]())
        if self.is_storage(uid):
            return frozenset({Action.STORE} if role.scu else set[Action]()) | (
                {Action.GET} if role.scp else frozenset[Action]()
            )
        return frozenset()


def role_of(request: AssociateRequest, sop_class_uid: str) -> Role:
    """Give the role the requestor proposes for itself; SCU where it says nothing (PS3.7 D.3.3.4)."""
    return request.roles.get(sop_class_uid, Role(scu=True, scp=False))


def asked_for(request: AssociateRequest, services: Services) -> frozenset[Action]:
    """Give everything that the request's contexts ask for."""
    return frozenset(
        action
        for context in request.contexts
        for action in services.actions(context, role_of(request, context.abstract_syntax))
    )


def answer(request: AssociateRequest, offered: frozenset[Action], services: Services) -> Acceptance:
    """Answer a request of an identified caller.

    Parameters
    ----------
    request : AssociateRequest
        What was proposed.
    offered : frozenset of Action
        What the caller was granted of ``asked_for``.
    services : Services
        What there is.
    """
    contexts = {context.id: _context(request, context, offered, services) for context in request.contexts}
    served = {c.abstract_syntax for c in request.contexts if isinstance(contexts[c.id], str)}
    return Acceptance(
        contexts=contexts,
        roles={uid: _role(uid, role, offered, services) for uid, role in request.roles.items() if uid in served},
        extended={
            uid: _extended(uid, information, services) for uid, information in request.extended.items() if uid in served
        },
        async_ops=None if request.async_ops is None else (1, 1),
    )


@dataclass(frozen=True, slots=True)
class Extras:
    """What was negotiated for a Query/Retrieve class beyond the baseline (PS3.4 C.5.1.1, C.5.2.1, C.5.3.1)."""

    relational: bool = False
    combined_date_time: bool = False
    empty_value: bool = False


def extras(request: AssociateRequest, sop_class_uid: str, services: Services) -> Extras:
    """Give what the extended negotiation of a class came to."""
    agreed = _extended(sop_class_uid, request.extended.get(sop_class_uid, b""), services).ljust(7, b"\0")
    return Extras(relational=agreed[0] == 1, combined_date_time=agreed[1] == 1, empty_value=agreed[5] == 1)


def _context(
    request: AssociateRequest, context: ProposedContext, offered: frozenset[Action], services: Services
) -> str | Refusal:
    role = role_of(request, context.abstract_syntax)
    asked = services.actions(context, role)
    if not asked:
        return Refusal.ABSTRACT_SYNTAX_NOT_SUPPORTED
    granted = asked & offered
    if not granted:
        return Refusal.USER_REJECTION
    proposed = tuple(uid for uid in context.transfer_syntaxes if services.can_keep(uid))
    if not services.is_storage(context.abstract_syntax):
        chosen = for_identifiers(proposed)
    elif Action.GET in granted:
        chosen = for_sending(proposed)
    else:
        chosen = for_storing(proposed)
    return chosen or Refusal.TRANSFER_SYNTAXES_NOT_SUPPORTED


def for_storing(proposed: tuple[str, ...]) -> str | None:
    """Choose for a sender: the first it names that can be kept.

    Implicit VR, where the sender can also write Explicit VR Little Endian, is
    the exception: it would cost the VRs of private elements, and a sender that
    holds Implicit VR loses nothing the other way round.
    """
    if not proposed:
        return None
    if proposed[0] == IMPLICIT_VR_LITTLE_ENDIAN and EXPLICIT_VR_LITTLE_ENDIAN in proposed:
        return EXPLICIT_VR_LITTLE_ENDIAN
    return proposed[0]


def for_sending(proposed: tuple[str, ...]) -> str | None:
    """Choose for a receiver (C-GET): what any instance can be turned into, if it takes that; else its first.

    One context carries one syntax: a receiver that wants originals proposes a
    context for each, and then each is accepted.
    """
    for uid in (EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN):
        if uid in proposed:
            return uid
    return proposed[0] if proposed else None


def for_identifiers(proposed: tuple[str, ...]) -> str | None:
    """Choose for C-ECHO, C-FIND, C-MOVE, C-GET and N-ACTION messages."""
    return next((uid for uid in UNDERSTOOD if uid in proposed), None)


def _role(uid: str, proposed: Role, offered: frozenset[Action], services: Services) -> Role:
    if not services.is_storage(uid):
        return Role(scu=proposed.scu, scp=False)
    return Role(scu=proposed.scu and Action.STORE in offered, scp=proposed.scp and Action.GET in offered)


def _extended(uid: str, asked: bytes, services: Services) -> bytes:
    """Give what we do in as many bytes as were asked, and no option that was not asked for."""
    if services.is_storage(uid):
        return _STORAGE_ANSWERS[: len(asked)]
    ours = _FIND_ANSWERS if uid in sop_classes.FIND else _RETRIEVE_ANSWERS
    return bytes(mine & theirs for mine, theirs in zip(ours, asked, strict=False))
