"""Finding: what the archive says of studies, and of what happened to them, before anything of them is opened.

Rule 1. What is asked goes on record, keywords without values, before it is looked
for. Rule 2. Nobody learns by asking what the view hides: not by matching, not by
the order of answers.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import cast

from leadglass.archive import views
from leadglass.archive.backroom import BackRoom
from leadglass.archive.braking import Found, Pedal
from leadglass.archive.changed import Changes
from leadglass.archive.ledger import Ledger
from leadglass.archive.lists import Listing, Order, Page, Sheet, Window
from leadglass.audit.decision import decide_on_record
from leadglass.audit.event import Event, Outcome
from leadglass.dicom import tags
from leadglass.dicom.matching import Query
from leadglass.dicom.model import Attributes, JsonElement
from leadglass.dicom.tags import SOPInstanceUID, StudyInstanceUID, key
from leadglass.errors import Denied
from leadglass.policy.action import Action
from leadglass.policy.caller import Caller
from leadglass.policy.permit import Permit, decide
from leadglass.policy.view import View

_WHEN = frozenset({tags.StudyDate, tags.StudyTime})
_SORTED_BY = {
    Order.DATE: _WHEN,
    Order.RECEIVED: _WHEN,
    Order.PATIENT: frozenset({tags.PatientName}) | _WHEN,
    Order.PATIENT_ID: frozenset({tags.PatientID, tags.IssuerOfPatientID, tags.PatientName}) | _WHEN,
    Order.UID: frozenset[int](),
}
"""What an order tells of. When a study was received is about when it was made."""
_NAMED = frozenset({StudyInstanceUID, SOPInstanceUID})


def shown_order(order: Order, view: View) -> Order:
    """Give an order, or the one that comes nearest to it and tells nothing that a view masks."""
    for each in (order, Order.DATE):
        if _SORTED_BY[each].isdisjoint(view.masked):
            return each
    return Order.UID


class Finding:
    """The part of the archive that finds; made by it.

    Parameters
    ----------
    room : BackRoom
        Where the images are.
    pedal : Pedal
        The brakes.
    ledger : Ledger
        Where it goes on record.
    door : str
        For the record.
    """

    __slots__ = ("_door", "_ledger", "_pedal", "_room")

    def __init__(self, room: BackRoom, pedal: Pedal, ledger: Ledger, door: str) -> None:
        self._room = room
        self._pedal = pedal
        self._ledger = ledger
        self._door = door

    def find(self, caller: Caller, query: Query, window: Window | Page | None) -> Found:
        """Answer a query; ``Archive.find`` is the way here."""
        keys = query.describe_keys()
        said: dict[str, str | int] = {"level": query.level.value, "keys": keys}
        permit = self._decide(caller, said)
        delay = self._pedal.query(caller)
        self._record(permit, Outcome.PERMITTED, permit.reason, said)
        strictest = View.full() if permit.is_always_full else views.strictest(caller, Action.FIND)
        if not strictest.is_full and views.asks_about(query, strictest):
            reason = "The query asks about an attribute that is masked for the caller."
            self._record(permit, Outcome.REFUSED, reason, {"keys": keys})
            raise Denied(reason)
        listing: Listing | None = None
        sheet: Sheet | None = None
        if window is None:
            matches = self._room.find(permit, query)
        elif isinstance(window, Page):
            page = replace(window, order=shown_order(window.order, strictest))
            matches = listing = sheet = self._room.browse(permit, query, page)
        else:
            by_date = window.by_date and strictest.masked.isdisjoint(_WHEN)
            matches = listing = self._room.search(permit, query, replace(window, by_date=by_date))
        if not strictest.is_full:
            matches = self._seen(permit, strictest, matches)
        return Found(matches, lambda row: self._pedal.row(caller, row), delay, listing, sheet)

    @staticmethod
    def masked(caller: Caller) -> frozenset[int]:
        """Give the attributes that a caller's queries may not ask about; ``Archive.masked`` is the way here."""
        return views.strictest(caller, Action.FIND).masked

    def _decide(self, caller: Caller, said: dict[str, str | int]) -> Permit:
        """Decide, recording a no; the yes is recorded when the brakes let it through."""
        return decide_on_record(self._ledger.record, caller, Action.FIND, door=self._door, detail=said, yes=False)

    def _record(self, permit: Permit, outcome: Outcome, reason: str, detail: dict[str, str | int]) -> None:
        self._ledger.record(Event.of(permit.caller, outcome, Action.FIND, reason, door=self._door, detail=detail))

    def _seen(self, permit: Permit, strictest: View, matches: Iterator[Attributes]) -> Iterator[Attributes]:
        """Apply the permit's view to each match; the strictest to a patient, who may have studies of several views."""

        def seen(match: Attributes) -> Attributes | None:
            if not match:
                return match
            study_uid = match.get(key(StudyInstanceUID), JsonElement(vr="UI")).get("Value", [""])[0]
            if not study_uid:
                return views.apply(strictest, match)
            facts = self._room.facts(permit, study_uid)
            return None if facts is None else views.apply(permit.view_of(facts), match)

        # Not a loop that gives them: it would hold each while the asker is slow, and one may be large.
        return cast("Iterator[Attributes]", filter(lambda each: each is not None, map(seen, matches)))

    # --- changes --------------------------------------------------------------

    def changes(self, caller: Caller, since: str, limit: int, *, record: bool) -> Changes:
        """Give what happened after a cursor, in the studies that the caller may query.

        Parameters
        ----------
        caller : Caller
            Who asks.
        since : str
            A cursor that was given before; empty for the beginning.
        limit : int
            Changes at most.
        record : bool
            Whether to put it on record: a door that waits for changes on behalf
            of one caller does so once, when it begins to.

        Raises
        ------
        Denied
            When the caller may not query, or UIDs are masked for it.
        Throttled
            When the caller asked too often, or was told of too many studies.
        BadInput
            When it is no cursor of this archive and this caller.
        """
        said: dict[str, str | int] = {"asked": "changes"}
        permit = self._decide(caller, said)
        if not views.strictest(caller, Action.FIND).masked.isdisjoint(_NAMED):
            reason = "UIDs are masked for the caller, and changes say nothing else."
            self._record(permit, Outcome.REFUSED, reason, said)
            raise Denied(reason)
        if record:
            self._pedal.query(caller)
            self._record(permit, Outcome.PERMITTED, permit.reason, said)
        found = self._room.changes(permit, since, limit)
        for study_uid in dict.fromkeys(each.study_uid for each in found.entries):
            self._pedal.row(caller, {key(StudyInstanceUID): JsonElement(vr="UI", Value=[study_uid])})
        return found

    def newest_change(self, caller: Caller) -> int:
        """Give a number that grows with every change; raises ``Denied``."""
        return self._room.newest_change(decide(caller, Action.FIND))
