"""Aside: what is kept in quarantine, inside of the transaction that ``filing`` holds.

Rule 1. It belongs to no study: its key is wrapped for itself alone. Rule 2. The
same content is there once, and a copy that cannot be opened gives way to one
that can. Rule 3. What arrives can fill it only up to its caps; what is handed in
to wait has caps of its own, so that neither takes the other's room.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, cast

from leadglass.archive.backroom import Kept
from leadglass.crypto.database import driver
from leadglass.errors import Corrupt, Full, NotHere
from leadglass.policy.facts import StudyFacts
from leadglass.policy.permit import Permit
from leadglass.vault.keys import Keys, object_identity
from leadglass.vault.objects import Place, place_of
from leadglass.vault.records import Arrived, Caps, Standing, Submitted, SubmittedCaps
from leadglass.vault.soundness import IsSound

Execute = Callable[..., "driver.Cursor"]

SUBMITTED: Final = "received through a link, to be looked at"
"""Why what was handed in waits."""


def doom(execute: Execute, place: Place) -> None:
    """Put an object on the list of those whose file is to be removed: a crash before leaves none behind."""
    execute("INSERT OR IGNORE INTO doomed VALUES (?, ?)", (place.shelf, place.name))


@dataclass(frozen=True, slots=True)
class _Twin:
    """The same content, in quarantine already."""

    number: int
    place: Place
    key: bytes
    size: int


class Aside:
    """The quarantine.

    Parameters
    ----------
    execute : callable
        Of the writing connection.
    keys : Keys
        The archive's.
    caps : Caps
        How much it may hold.
    is_sound : callable
        Says whether an object can be opened.
    submitted : SubmittedCaps, optional
        How much of what is handed in may wait in it; without, nothing.
    """

    __slots__ = ("_caps", "_execute", "_is_sound", "_keys", "_submitted")

    def __init__(
        self, execute: Execute, keys: Keys, caps: Caps, is_sound: IsSound, submitted: SubmittedCaps | None = None
    ) -> None:
        self._execute = execute
        self._keys = keys
        self._caps = caps
        self._is_sound = is_sound
        self._submitted = submitted or SubmittedCaps(Caps(0, 0), Caps(0, 0))

    def keep(self, arrived: Arrived, reason: str) -> bool:
        """Put an instance into quarantine; gives whether its object is the one that is kept there.

        Raises
        ------
        Full
            When quarantine holds as much as it may.
        """
        twin = self._twin(arrived.sop_instance_uid, arrived.digest)
        if twin is not None:
            return self._heal(twin, arrived.sop_instance_uid, arrived.place, arrived.key)
        if self._is_too_much(self._caps, arrived.size, "submitted = 0"):
            raise Full("Quarantine is full. Resolve what is in it, then send this again.")
        self._insert(arrived, reason, is_submitted=False)
        return True

    def submit(self, arrived: Arrived) -> Submitted:
        """Put what was handed in where it waits; nothing that is stored is looked at, so that nothing is told of it.

        Raises
        ------
        Full
            When as much waits as may, of its sender or of all.
        """
        twin = self._twin(arrived.sop_instance_uid, arrived.digest)
        if twin is not None:
            return Submitted(self._heal(twin, arrived.sop_instance_uid, arrived.place, arrived.key))
        if self._is_too_much(self._submitted.each, arrived.size, "submitted = 1 AND origin = ?", arrived.origin):
            raise Full("As much as may wait was handed in here. Ask who invited you to look at it, then go on.")
        if self._is_too_much(self._submitted.together, arrived.size, "submitted = 1"):
            raise Full("As much waits to be looked at here as may. Ask who invited you to look at it, then go on.")
        self._insert(arrived, SUBMITTED, is_submitted=True)
        return Submitted(is_kept=True)

    def _is_too_much(self, caps: Caps, size: int, which: str, *values: str) -> bool:
        count, octets = self._execute(
            f"SELECT count(*), coalesce(sum(size), 0) FROM quarantine WHERE {which}",
            values,
        ).fetchone()
        return count >= caps.instances or octets + size > caps.octets

    def _insert(self, arrived: Arrived, reason: str, *, is_submitted: bool) -> None:
        place = arrived.place
        self._execute(
            "INSERT INTO quarantine (reason, study_uid, series_uid, sop_instance_uid, sop_class_uid,"
            " transfer_syntax_uid, patient_id, issuer_of_patient_id, size, digest, shelf, object, key, origin,"
            " received, submitted) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                reason,
                arrived.study_uid,
                arrived.series_uid,
                arrived.sop_instance_uid,
                arrived.sop_class_uid,
                arrived.transfer_syntax_uid,
                arrived.patient_id,
                arrived.issuer_of_patient_id,
                arrived.size,
                arrived.digest,
                place.shelf,
                place.name,
                self._keys.quarantine.wrap(arrived.key, object_identity(place, arrived.sop_instance_uid)),
                arrived.origin,
                arrived.received,
                is_submitted,
            ),
        )

    def put(self, standing: Standing, reason: str) -> int:
        """Move a stored instance into quarantine, whatever it holds already; gives its number there.

        Its row is not removed: ``Filing.forget_instance`` is for that. Where its
        twin is in quarantine already, that one stands for both.
        """
        twin = self._twin(standing.sop_instance_uid, standing.digest)
        if twin is not None:
            if not self._heal(twin, standing.sop_instance_uid, standing.place, standing.key):
                doom(self._execute, standing.place)
            return twin.number
        row = self._execute(
            "SELECT i.sop_class_uid, t.patient_id, t.issuer_of_patient_id, i.origin, i.received"
            " FROM instance i JOIN series s ON s.id = i.series_id JOIN study t ON t.id = s.study_id WHERE i.id = ?",
            (standing.row,),
        ).fetchone()
        place = standing.place
        inserted = self._execute(
            "INSERT INTO quarantine (reason, study_uid, series_uid, sop_instance_uid, sop_class_uid,"
            " transfer_syntax_uid, patient_id, issuer_of_patient_id, size, digest, shelf, object, key, origin,"
            " received) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                reason,
                standing.study_uid,
                standing.series_uid,
                standing.sop_instance_uid,
                row[0],
                standing.transfer_syntax_uid,
                row[1],
                row[2],
                standing.size,
                standing.digest,
                place.shelf,
                place.name,
                self._keys.quarantine.wrap(standing.key, object_identity(place, standing.sop_instance_uid)),
                row[3],
                row[4],
            ),
        ).lastrowid
        return cast(int, inserted)

    def empty(self, study: StudyFacts, permit: Permit) -> tuple[int, int]:
        """Delete what a permit covers of what waits for a study; gives how many instances that were and their bytes.

        What another patient's image does under this Study Instance UID is not
        for who deletes this one's to decide: it stays, and waits for itself.
        """
        rows = self._execute(
            "SELECT number, patient_id, issuer_of_patient_id, origin, shelf, object, size FROM quarantine"
            " WHERE study_uid = ?",
            (study.study_uid,),
        ).fetchall()
        gone = octets = 0
        for number, patient_id, issuer, origin, shelf, name, size in rows:
            own = replace(study, patient_id=patient_id, issuer_of_patient_id=issuer, sources=study.sources | {origin})
            if permit.scope.covers(own):
                self._execute("DELETE FROM quarantine WHERE number = ?", (number,))
                doom(self._execute, Place(shelf, name))
                gone, octets = gone + 1, octets + size
        return gone, octets

    def release(self, kept: Kept, *, doomed: Place | None = None) -> None:
        """Take an instance out of quarantine, and its file with it where it is doomed.

        Raises
        ------
        NotHere
            When somebody else resolved it meanwhile.
        """
        if not self._execute("DELETE FROM quarantine WHERE number = ?", (kept.number,)).rowcount:
            raise NotHere("There is no such instance in quarantine.")
        if doomed is not None:
            doom(self._execute, doomed)

    def _twin(self, sop_instance_uid: str, digest: bytes) -> _Twin | None:
        row = self._execute(
            "SELECT number, shelf, object, key, size FROM quarantine WHERE sop_instance_uid = ? AND digest = ?",
            (sop_instance_uid, digest),
        ).fetchone()
        return _Twin(row[0], place_of(row[1], row[2]), row[3], row[4]) if row is not None else None

    def _heal(self, twin: _Twin, sop_instance_uid: str, place: Place, key: bytes) -> bool:
        """Let another object of the same content stand for a twin that cannot be opened; gives whether it does."""
        try:
            opens = self._keys.quarantine.unwrap(twin.key, object_identity(twin.place, sop_instance_uid))
        except Corrupt:
            pass
        else:
            if self._is_sound(twin.place, opens, twin.size):
                return False
        self._execute(
            "UPDATE quarantine SET shelf = ?, object = ?, key = ? WHERE number = ?",
            (
                place.shelf,
                place.name,
                self._keys.quarantine.wrap(key, object_identity(place, sop_instance_uid)),
                twin.number,
            ),
        )
        doom(self._execute, twin.place)
        return True
