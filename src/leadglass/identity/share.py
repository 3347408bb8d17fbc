"""Share: one link by which somebody without an account sees some studies, or sends some in; and what it is worth now.

Rule 1. A link is never worth more than it says, nor more than who made it has at that
moment: ``rights_of`` takes what both have. Rule 2. Only who may take studies out of
the archive (``EXPORT``) can lend them, and only who decides over quarantine
(``RESOLVE``) can have something sent there. Rule 3. A link has no right in masses.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from leadglass.policy.action import Action
from leadglass.policy.caller import Caller, Grant
from leadglass.policy.masking import without_identity
from leadglass.policy.scope import Field, Scope
from leadglass.policy.view import View

MOST_STUDIES: Final = 20
"""Studies of one link: a patient's priors, not an archive."""


class ShareKind(StrEnum):
    """Which way images go."""

    GIVE = "give"
    """Whoever has the link sees studies."""
    RECEIVE = "receive"
    """Whoever has the link sends studies in; they wait in quarantine."""


class ShareLock(StrEnum):
    """What a link asks for besides its secret."""

    NONE = "none"
    PIN = "pin"
    """A code that opens it each time."""
    ONCE = "once"
    """A code that opens it one time."""

    @property
    def word(self) -> str:
        """What people call the code, whoever they are: its maker, its recipient, who reads the log."""
        return "one-time code" if self is ShareLock.ONCE else "PIN"


LOOKING: Final = frozenset({Action.FIND, Action.LOOK})
"""Of who may look: pictures that the archive draws, and no object of DICOM."""

TAKING: Final = frozenset({Action.FIND, Action.GET, Action.EXPORT})
"""Of who may take the images along, and so see them in a viewer, which has to fetch them."""


@dataclass(frozen=True, slots=True)
class Share:
    """One link. What proves it is not here.

    Parameters
    ----------
    id : str
        Its public name: in its address, on lists and in the audit log.
    kind : ShareKind
        Which way images go.
    issuer : str
        Who made it, as the audit log writes it (``person:j.doe``).
    made, until : datetime
        From when until when it counts (UTC).
    note : str
        What its maker wrote for the list; may name what the link is about, so it is in no log.
    studies : tuple of str
        Study Instance UIDs that it is about.
    is_masked : bool
        Whether who the studies are of is kept back.
    may_download : bool
        Whether the images themselves may be fetched, or pictures of them only.
    lock : ShareLock
        What it asks for besides its secret.
    has_code : bool
        Whether the code that it asks for is still to be used.
    wrong : int
        Wrong numbers that were shown with the right link.
    most_files, most_octets : int
        How much may be sent in by it.
    files, octets : int
        How much was.
    ended : datetime, optional
        When somebody, or too many wrong codes, ended it.
    why_ended : str
        What ended it.
    opened : datetime, optional
        When it was opened last.
    """

    id: str
    kind: ShareKind
    issuer: str
    made: datetime
    until: datetime
    note: str = ""
    studies: tuple[str, ...] = ()
    is_masked: bool = False
    may_download: bool = False
    lock: ShareLock = ShareLock.NONE
    has_code: bool = False
    wrong: int = 0
    most_files: int = 0
    most_octets: int = 0
    files: int = 0
    octets: int = 0
    ended: datetime | None = None
    why_ended: str = ""
    opened: datetime | None = None

    def counts(self, now: datetime) -> bool:
        """Say whether it opens anything at a time."""
        return self.ended is None and now < self.until

    @property
    def name(self) -> str:
        """What the audit log calls who uses it."""
        return f"link:{self.id}"


def rights_of(share: Share, issuer: Caller | None) -> tuple[Grant, ...]:
    """Give what a link is worth: what it says and who made it has, both.

    Parameters
    ----------
    share : Share
        The link.
    issuer : Caller, optional
        Who made it, with the rights of now; None when that account is locked or gone.
    """
    if issuer is None:
        return ()
    if share.kind is ShareKind.RECEIVE:
        return tuple(
            Grant(
                frozenset({Action.SUBMIT}), right.scope, View.full(), f"the receive link {share.id} of {share.issuer}"
            )
            for right in issuer.grants
            if Action.RESOLVE in right.actions and not right.scope.is_nothing
        )
    own = Scope.where(Field.STUDY, *share.studies) if share.studies else Scope.nothing()
    view = without_identity() if share.is_masked else View.full()
    wanted = TAKING if share.may_download else LOOKING
    reason = f"the share link {share.id} of {share.issuer}"
    grants: list[Grant] = []
    for lending in issuer.grants:
        if Action.EXPORT not in lending.actions:
            continue
        for right in issuer.grants:
            actions = frozenset(action for action in wanted if _has(right, action))
            scope = own & right.scope if right is lending else own & right.scope & lending.scope
            if actions and not scope.is_nothing:
                grants.append(Grant(actions, scope, view & right.view & lending.view, reason))
    return tuple(grants)


def _has(grant: Grant, action: Action) -> bool:
    """Say whether a right holds an action; whoever may fetch the images may look at pictures of them."""
    return action in grant.actions or (action is Action.LOOK and Action.GET in grant.actions)
