"""Caller: who is asking. There is no anonymous caller.

Rule: only ``identity/`` makes a Caller, from evidence; a test reads the whole
source tree and fails if any other package calls the constructor.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from uuid import uuid4

from leadglass.policy.action import Action
from leadglass.policy.scope import Scope
from leadglass.policy.view import View


class CallerKind(StrEnum):
    """What kind of identity stands behind a caller."""

    DEVICE = "device"
    COMMAND_LINE = "cli"
    PERSON = "person"
    TOKEN = "token"  # noqa: S105 - a word, not a secret
    LINK = "link"
    WEBHOOK = "webhook"
    """A receiver that the operator named, which is told ids."""
    CLIENT = "client"
    """A program that another authorization server vouches for."""
    PROVIDER = "provider"
    """A sign-in provider, which makes and changes the accounts it vouches for; it sees nothing."""


@dataclass(frozen=True, slots=True)
class Grant:
    """A right: some actions, on some studies, with what may leave.

    Parameters
    ----------
    actions : frozenset of Action
        What may be asked.
    scope : Scope
        On which studies.
    view : View
        What may leave of them.
    reason : str
        Where the right comes from, for the audit log and ``policy explain``.
    bulk : bool
        Whether masses may be asked for: then no brakes apply (``policy.brakes``).
    """

    actions: frozenset[Action]
    scope: Scope
    view: View
    reason: str
    bulk: bool = False


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is asking, proven by evidence.

    Parameters
    ----------
    kind : CallerKind
        The kind of identity.
    name : str
        A device's AE title, the operating system's user name, …
    grants : tuple of Grant
        The caller's rights; none means that everything is refused.
    peer : str
        Where it speaks from: an IP address, or ``local``.
    evidence : str
        What proved the identity, in words (no secret).
    session : str
        Random id of this association or command, to join audit records.
    """

    kind: CallerKind
    name: str
    grants: tuple[Grant, ...]
    peer: str
    evidence: str
    session: str = field(default_factory=lambda: uuid4().hex)

    def __str__(self) -> str:
        """Name the caller as the audit log does: ``device:CT1``."""
        return f"{self.kind}:{self.name}"
