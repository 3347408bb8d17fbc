"""Archive: the one thing that every door calls.

Rule 1. Each method decides eagerly and streams lazily: when it returns, the
decision is made and on record; a refusal is raised before the door has said
anything. Rule 2. The record is written, durably, before the act. Rule 3. The
same answer, by the same path, for what is not here and what is not yours.

Reading and storing are recorded once for each caller, address, action and study
within a window (``windows``), and closed with a record that counts what was
done: one record for each instance would cost a disk write each and tell nobody
more.
"""

from collections.abc import Callable, Mapping, Sequence
from time import monotonic

from leadglass.archive.backroom import (
    Arrival,
    BackRoom,
    Declared,
    Deleted,
    Draft,
    FsckReport,
    Incoming,
    Kept,
    Receipt,
    Resolution,
    Selection,
    Stored,
)
from leadglass.archive.braking import Braking, Found, Pedal
from leadglass.archive.changed import Changes
from leadglass.archive.commitment import Commitments
from leadglass.archive.finding import Finding
from leadglass.archive.ledger import Ledger
from leadglass.archive.lists import Page, Window
from leadglass.archive.misses import Misses
from leadglass.archive.quarantine import Quarantine
from leadglass.archive.retrieving import Again, AtHand, Retrieval, Retrieving
from leadglass.archive.windows import Windows
from leadglass.audit.decision import decide_on_record
from leadglass.audit.event import Event, Outcome
from leadglass.audit.log import AuditLog
from leadglass.dicom.limits import Limits
from leadglass.dicom.matching import Level, Query
from leadglass.errors import Denied, LeadglassError, NotHere
from leadglass.policy.action import Action
from leadglass.policy.caller import Caller
from leadglass.policy.permit import Permit, decide, entry
from leadglass.policy.scope_words import label_of


class Archive:
    """Store, find, retrieve, delete: with a permit and a record, or not at all.

    Parameters
    ----------
    room : BackRoom
        Where the images are.
    audit : AuditLog
        Where decisions are recorded.
    door : str
        The door this archive is handed to, for the records.
    window : float
        Seconds for which one opening record covers a caller's work on one
        study. 300 by default: an association seldom lasts longer, and one that
        does is seen to go on.
    clock : callable
        Monotonic seconds.
    braking : Braking, optional
        The brakes, shared by all doors of a process; without, the usual limits
        are counted for this archive alone.
    limits : Limits, optional
        What reading a data set may cost that leaves with attributes masked.
    forget : callable
        Told of a study before it is deleted, so that nothing that named it means whatever gets its UID next.
    """

    def __init__(
        self,
        room: BackRoom,
        audit: AuditLog,
        *,
        door: str,
        window: float = 300.0,
        clock: Callable[[], float] = monotonic,
        braking: Braking | None = None,
        limits: Limits | None = None,
        forget: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._forget = forget
        self._room = room
        self._ledger = Ledger(audit, door=door)
        self._pedal = Pedal(braking or Braking(clock=clock), self._ledger, door)
        self._door = door
        self._windows = Windows(self._ledger, door=door, window=window, clock=clock)
        misses = Misses(self._ledger, door, window, clock)
        self._retrieving = Retrieving(room, self._pedal, self._windows, misses, self._ledger, door, limits or Limits())
        self._finding = Finding(room, self._pedal, self._ledger, door)
        self.commitments = Commitments(room, self._ledger, door)
        self.quarantine = Quarantine(room, self._ledger, self._windows, door)

    # --- asking ---------------------------------------------------------------

    def _record(self, event: Event) -> None:
        """Put an event on record, or raise: then what it is about must not happen."""
        self._ledger.record(event)

    def _event(
        self,
        caller: Caller,
        outcome: Outcome,
        action: Action,
        reason: str,
        study_uid: str = "",
        detail: Mapping[str, str | int] | None = None,
    ) -> Event:
        return Event.of(caller, outcome, action, reason, door=self._door, study_uid=study_uid, detail=detail)

    def _permit(self, caller: Caller, action: Action, *, record: bool = True, **detail: str | int) -> Permit:
        """Decide over an action as such, recording a no always and a yes when asked to."""
        return decide_on_record(self._record, caller, action, door=self._door, detail=detail, yes=record)

    def end(self, caller: Caller) -> None:
        """Close the caller's session: write what it came to, study by study.

        Raises
        ------
        Busy, Full, Corrupt, Misconfigured
            When the audit log could not be written. What it lacks is owed to it
            and written with what is recorded next.
        """
        error = self._windows.end(caller.session)
        if error is not None:
            raise error

    def close(self) -> None:
        """Close the sessions that are left and write what is owed, before the audit log closes; raises as ``end``."""
        error = self._windows.close()
        if error is not None:
            raise error

    def tidy(self) -> None:
        """Write the closing records of windows that have ended, to be called now and then; raises as ``end``."""
        error = self._windows.tidy()
        if error is not None:
            raise error

    # --- refusing -------------------------------------------------------------

    def offers(self, caller: Caller, actions: frozenset[Action]) -> frozenset[Action]:
        """Say which of some actions a caller may do at all, for a door that negotiates; each no goes on record.

        This is no permission: every request is decided again when it comes.
        """
        offered: set[Action] = set()
        for action in sorted(actions):
            try:
                decide(caller, action)
            except Denied as error:
                self._record(
                    self._event(caller, Outcome.REFUSED, action, error.message, detail={"asked": "negotiation"})
                )
            else:
                offered.add(action)
        return frozenset(offered)

    def refuse(self, caller: Caller, action: Action, reason: str, **detail: str | int) -> None:
        """Put on record that a door turned a request down for a reason of its own.

        Raises
        ------
        Denied
            When the caller may not do this at all: then that is the reason, and
            the door must not tell its own.
        """
        self._permit(caller, action, record=False, **detail)
        self._record(self._event(caller, Outcome.REFUSED, action, reason, detail=detail))

    # --- verification ---------------------------------------------------------

    def echo(self, caller: Caller) -> None:
        """Answer a C-ECHO (PS3.4 Annex A), for those who were granted it."""
        self._permit(caller, Action.ECHO)

    # --- store ----------------------------------------------------------------

    def receive(self, caller: Caller, declared: Declared) -> "Receiving":
        """Begin to take in one instance.

        From who may submit and not store it goes to quarantine, whatever is
        stored, and its receipt says so: it is found and fetched by nobody
        before somebody who may ``RESOLVE`` has accepted it.

        Raises
        ------
        Denied
            When the caller may neither store nor submit.
        """
        permit = self._permit(caller, entry(caller), record=False)
        return Receiving(self, caller, self._room.receive(permit, declared), permit.action)

    def draft(self, caller: Caller) -> Draft:
        """Begin to keep bytes that belong to an instance which is still to come; raises ``Denied``, ``Full``."""
        return self._room.draft(self._permit(caller, entry(caller), record=False))

    def finish(self, caller: Caller, receivings: "Sequence[Receiving]") -> list[Receipt | LeadglassError]:
        """Decide over several instances that came in, and commit them together.

        They wait for the disk once, not one after the other. When this returns,
        each whose answer is a receipt is on stable storage, and nothing is left
        of the others.

        Returns
        -------
        list of Receipt or LeadglassError
            What became of each, in their order: what ``Receiving.finish``
            would give or raise.
        """
        admitted: list[tuple[Arrival, str] | LeadglassError] = []
        try:
            for receiving in receivings:
                try:
                    admitted.append(self._admit(caller, receiving.incoming, receiving.action))
                except LeadglassError as error:
                    admitted.append(error)
            arrivals = [each[0] for each in admitted if isinstance(each, tuple)]
            committed = iter(self._room.commit(arrivals))
            return [
                self._conclude(caller, *each, next(committed)) if isinstance(each, tuple) else each for each in admitted
            ]
        finally:
            for receiving in receivings:
                receiving.abort()

    def _admit(self, caller: Caller, incoming: Incoming, action: Action) -> tuple[Arrival, str]:
        """Examine one instance, decide over it and put that on record; gives its study's UID too."""
        try:
            facts = incoming.examine()
        except LeadglassError as error:
            self._record(self._event(caller, Outcome.FAILED, action, error.message))
            raise
        try:
            permit = decide(caller, action, facts)
        except Denied as error:
            self._record(self._event(caller, Outcome.REFUSED, action, error.message, facts.study_uid))
            raise
        self._windows.study(caller, permit, facts.study_uid)
        return Arrival(incoming, permit), facts.study_uid

    def _conclude(
        self, caller: Caller, arrival: Arrival, study_uid: str, outcome: Receipt | LeadglassError
    ) -> Receipt | LeadglassError:
        """Count and record what became of one instance; gives what its sender is to hear."""
        try:
            if isinstance(outcome, LeadglassError):
                self._windows.count(caller, arrival.permit, study_uid, 0, failed=True)
                action = arrival.permit.action
                self._record(self._event(caller, Outcome.FAILED, action, outcome.message, study_uid))
                return outcome
            self._windows.count(caller, arrival.permit, outcome.study_uid, outcome.size)
            if outcome.outcome is Stored.HEALED:
                self._tell_of_damage(caller, outcome)
            return outcome
        except LeadglassError as error:
            return error

    def _tell_of_damage(self, caller: Caller, receipt: Receipt) -> None:
        """Put on record that a stored copy was damaged; when that cannot be written now, nobody hears of success."""
        reason = "A stored object was damaged and is replaced by what was sent. Check the disk; run: leadglass fsck"
        detail = {"instance": receipt.sop_instance_uid}
        error = self._ledger.owe([self._event(caller, Outcome.ALERT, Action.STORE, reason, receipt.study_uid, detail)])
        if error is not None:
            raise error

    # --- query ----------------------------------------------------------------

    def find(self, caller: Caller, query: Query, window: Window | Page | None = None) -> Found:
        """Answer a query: what the caller may see of what matches.

        Gives ``matching.NO_MATCH`` for each row that was looked at and is no
        match: who asks can stop at any of them, and waits as ``Found`` says.

        Parameters
        ----------
        caller : Caller
            Who asks.
        query : Query
            What is asked.
        window : Window, optional
            Which of the matches, newest study first (PS3.18 8.3.4.4), or a page
            of a list of studies (``Found.sheet`` tells more of it); without it
            all, in the order in which they came to be stored.

        Raises
        ------
        Denied
            When the caller may not query at all, or asks about the value of an
            attribute that is masked for it: the number of matches would tell.
        Throttled
            When the caller asked too often; while iterating, when it was given
            too many patients and studies.
        """
        return self._finding.find(caller, query, window)

    def masked(self, caller: Caller) -> frozenset[int]:
        """Give the attributes that a caller's queries may not ask about, so that nobody is offered to."""
        return self._finding.masked(caller)

    def changes(self, caller: Caller, since: str, limit: int, *, record: bool = True) -> Changes:
        """Give what happened after a cursor in the studies that the caller may query; see ``Finding.changes``.

        Raises
        ------
        Denied, Throttled, BadInput
        """
        return self._finding.changes(caller, since, limit, record=record)

    def newest_change(self, caller: Caller) -> int:
        """Give a number that grows with every change, for a door that waits for one; it tells nobody more."""
        return self._finding.newest_change(caller)

    # --- retrieve -------------------------------------------------------------

    def retrieve(
        self,
        caller: Caller,
        action: Action,
        level: Level,
        selection: Selection,
        to: str = "",
        *,
        is_whole: bool = True,
    ) -> Retrieval:
        """Locate instances for a retrieval and put it on record, study by study; see ``Retrieving.retrieve``.

        Raises
        ------
        Denied
            When the caller may not retrieve at all.
        Throttled
            When the caller was given too many studies or octets.
        """
        permit = self._permit(caller, action, record=False, level=level.value, to=to)
        return self._retrieving.retrieve(permit, level, selection, to, is_whole=is_whole)

    def at_hand(self, caller: Caller, action: Action, selection: Selection) -> AtHand | None:
        """Give one instance to be read of at once, by who must not wait: what ``retrieve`` would give, or None.

        None says nothing but that something would have to be waited for, or to
        be told: that it is not in memory, not on record yet, braked, masked or
        not permitted. Then ``retrieve``.
        """
        try:
            permit = decide(caller, action)
        except Denied:
            return None
        return self._retrieving.at_hand(permit, selection)

    def position(self, caller: Caller, action: Action) -> int:
        """Give a number that grows with every change, for a door that keeps what it is about to retrieve."""
        return self._room.newest_change(decide(caller, action))

    def retrieve_again(self, caller: Caller, action: Action, asked: Again) -> float | None:
        """Decide over something that a door kept, and put it on record, as ``retrieve`` would.

        Gives the seconds to wait before it is sent; None where it is not what
        the caller would be given now: the study changed, is not there any more,
        is outside of what the caller may see, or is seen masked. Then ``retrieve``.

        Raises
        ------
        Denied
            When the caller may not retrieve at all.
        Throttled
            When the caller was given too many studies or octets.
        """
        permit = self._permit(caller, action, record=False, level=asked.level.value)
        return self._retrieving.again(permit, asked)

    # --- keeping house --------------------------------------------------------

    def delete(self, caller: Caller, study_uid: str) -> Deleted:
        """Delete a study, its key first.

        Raises
        ------
        Denied, NotHere
        """
        permit = self._decide_over_study(caller, Action.DELETE, study_uid)
        self._record(self._event(caller, Outcome.PERMITTED, Action.DELETE, permit.reason, study_uid))
        self._forget(study_uid)
        deleted = self._room.delete(permit, study_uid)
        self._record(
            self._event(
                caller,
                Outcome.DONE,
                Action.DELETE,
                "deleted",
                study_uid,
                {"instances": deleted.instances, "quarantined": deleted.quarantined, "octets": deleted.octets},
            )
        )
        return deleted

    def lend(self, caller: Caller, study_uids: Sequence[str]) -> None:
        """Decide whether a caller may have a link show studies: those it may take out of the archive.

        A no goes on record here, the yes with the link that is made.

        Raises
        ------
        Denied, NotHere
        """
        for study_uid in study_uids:
            self._decide_over_study(caller, Action.EXPORT, study_uid)

    def _decide_over_study(self, caller: Caller, action: Action, study_uid: str) -> Permit:
        permit = self._permit(caller, action, record=False)
        facts = self._room.facts(permit, study_uid)
        if facts is None:
            self._record(self._event(caller, Outcome.REFUSED, action, "no such study", study_uid))
            raise NotHere("There is no such study here.")
        try:
            return decide(caller, action, facts)
        except Denied as error:
            self._record(self._event(caller, Outcome.REFUSED, action, error.message, study_uid))
            raise NotHere("There is no such study here.") from None

    def label(self, caller: Caller, study_uid: str, label: str, *, is_given: bool) -> bool:
        """Give a study a label, or take it away; scopes name labels. Gives whether anything changed.

        Raises
        ------
        BadInput
            When it is no label.
        Denied, NotHere
        """
        label = label_of(label)
        permit = self._decide_over_study(caller, Action.MANAGE, study_uid)
        said = {"label": label, "change": "given" if is_given else "taken away"}
        self._record(self._event(caller, Outcome.PERMITTED, Action.MANAGE, permit.reason, study_uid, said))
        return self._room.label(permit, study_uid, label, is_given=is_given)

    def labels(self, caller: Caller) -> dict[str, int]:
        """Give every label and how many studies have it."""
        return self._room.labels(self._permit(caller, Action.MANAGE, record=False))

    def studies_of(self, caller: Caller, patient_id: str) -> list[str]:
        """Give the Study Instance UIDs of a patient's studies, for who reads the log: what is on record of them.

        Nothing of the studies or the patient is given, and the Patient ID that
        was asked about is not put on record; the studies are.

        Raises
        ------
        Denied
        """
        detail: dict[str, str | int] = {"asked": "who saw a patient"}
        permit = self._permit(caller, Action.AUDIT, record=False, **detail)
        found = self._room.studies_of(permit, patient_id)
        detail |= {"studies": len(found), "study_uids": " ".join(found)}
        only = found[0] if len(found) == 1 else ""
        self._record(self._event(caller, Outcome.PERMITTED, Action.AUDIT, permit.reason, only, detail))
        return found

    def explain(self, asker: Caller, caller: Caller, action: Action, study_uid: str) -> tuple[bool, str]:
        """Say whether ``caller`` may do ``action`` on a study, and why; asks for ``MANAGE`` and changes nothing.

        Returns
        -------
        tuple of bool and str
            The answer and its reason in words.
        """
        permit = self._permit(asker, Action.MANAGE, about=str(caller))
        facts = self._room.facts(permit, study_uid) if study_uid else None
        if study_uid and facts is None:
            return False, "There is no such study here."
        try:
            return True, decide(caller, action, facts).reason
        except Denied as error:
            return False, error.message

    def quarantined(self, caller: Caller) -> list[Kept]:
        """List what is in quarantine; more of it by ``quarantine``."""
        return self.quarantine.kept(caller)

    def resolve(self, caller: Caller, number: int, resolution: Resolution) -> str:
        """Decide over one instance in quarantine; what was decided and what came of it is on its study's record.

        Raises
        ------
        Denied, NotHere, BadInput, Corrupt, Conflict
        """
        return self.quarantine.resolve(caller, number, resolution)

    def fsck(self, caller: Caller, progress: Callable[[int, int], None]) -> FsckReport:
        """Re-read everything and name what is wrong."""
        permit = self._permit(caller, Action.VERIFY)
        report = self._room.fsck(permit, progress)
        outcome = Outcome.DONE if not report.faults else Outcome.ALERT
        self._record(
            self._event(
                caller,
                outcome,
                Action.VERIFY,
                "fsck",
                detail={"instances": report.instances, "faults": len(report.faults)},
            )
        )
        return report


class Receiving:
    """One instance on its way in, for a door: ``write`` …, then ``finish`` or ``abort``."""

    __slots__ = ("_archive", "_caller", "action", "incoming")

    def __init__(self, archive: Archive, caller: Caller, incoming: Incoming, action: Action) -> None:
        self._archive = archive
        self._caller = caller
        self.incoming = incoming
        self.action = action

    @property
    def identity(self) -> tuple[str, str]:
        """SOP Class and Instance UID as the data set says, once it was read; empty before, and where it cannot be."""
        return self.incoming.identity

    def write(self, *blocks: bytes) -> None:
        """Take the next bytes of the data set; raises ``Full``."""
        self.incoming.write(*blocks)

    def finish(self) -> Receipt:
        """Decide and commit; when this returns, the instance is on stable storage.

        Raises
        ------
        BadInput, Denied, Conflict, Full, Busy
        """
        [outcome] = self._archive.finish(self._caller, [self])
        if isinstance(outcome, LeadglassError):
            raise outcome
        return outcome

    def abort(self) -> None:
        """Forget it; nothing stays on disk."""
        self.incoming.abort()
