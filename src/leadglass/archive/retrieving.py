"""Retrieving: instances located, put on record, and opened one by one.

Rule 1. The record is written, study by study, before the first byte is read.
Rule 2. Under a view that masks, nothing leaves that was not masked: a data set
is written anew, of frames and bulk data only what they are can be read, and
what no mask reaches is withheld (``withholding``).
"""

import hashlib
import hmac
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from secrets import token_bytes
from typing import Final

from leadglass.archive import views
from leadglass.archive.backroom import BackRoom, Described, Held, InstanceRecord, Reader, Selection
from leadglass.archive.braking import Pedal
from leadglass.archive.ledger import Ledger
from leadglass.archive.masked import MaskedReader, masked_places
from leadglass.archive.misses import Misses
from leadglass.archive.windows import Windows
from leadglass.archive.withholding import why_withheld
from leadglass.audit.event import Event, Outcome
from leadglass.dicom.frames import FrameTable
from leadglass.dicom.json_text import JsonText
from leadglass.dicom.limits import Limits
from leadglass.dicom.masking import open_blanked, open_masked
from leadglass.dicom.matching import Level
from leadglass.dicom.model import Attributes
from leadglass.errors import Corrupt, NotAtHand, Unsupported
from leadglass.policy.permit import Permit
from leadglass.policy.view import View

_AT_HAND: Final = Level.IMAGE
"""The level at which is asked for what is at hand: for one instance."""


class Retrieving:
    """The retrieving side of one door's archive.

    Parameters
    ----------
    room : BackRoom
        Where the images are.
    pedal : Pedal
        The brakes.
    windows : Windows
        Where retrievals go on record.
    misses : Misses
        Where it goes on record what was asked for and not given.
    ledger : Ledger
        Where refusals go on record.
    door : str
        Of the archive, for the records.
    limits : Limits
        What reading a data set may cost that has to be written anew.
    """

    __slots__ = ("_door", "_ledger", "_misses", "blind", "limits", "pedal", "room", "windows")

    def __init__(
        self,
        room: BackRoom,
        pedal: Pedal,
        windows: Windows,
        misses: Misses,
        ledger: Ledger,
        door: str,
        limits: Limits,
    ) -> None:
        self.room = room
        self.pedal = pedal
        self.windows = windows
        self._misses = misses
        self._ledger = ledger
        self._door = door
        self.limits = limits
        self.blind = token_bytes(32)
        """Makes fingerprints of what leaves masked: a digest of what was stored would let names be tried."""

    def retrieve(
        self, permit: Permit, level: Level, selection: Selection, to: str, *, is_whole: bool = True
    ) -> "Retrieval":
        """Locate instances and put it on record, study by study.

        Parameters
        ----------
        permit : Permit
            For ``GET``, ``MOVE`` or ``EXPORT``.
        level : Level
            The Query/Retrieve Level.
        selection : Selection
            The unique keys.
        to : str
            The destination, for the record.
        is_whole : bool
            Whether whole instances are wanted; else metadata or single frames
            are, and what is read is counted when it is (``Retrieval.read``).

        Raises
        ------
        Throttled
            When the caller was given too many studies or octets.
        """
        caller = permit.caller
        self.windows.request(caller, permit, level.value, to)
        records = self.room.locate(permit, level, selection)
        delay = self.pedal.retrieval(caller, permit.action, records, is_whole=is_whole)
        given = dict.fromkeys(record.study_uid for record in records)
        for study_uid in given:
            self.windows.study(caller, permit, study_uid, to)
        self._misses.note(permit, [each for each in selection.study_uids if each not in given])
        return Retrieval(self, permit, records, to, delay, is_whole=is_whole)

    def at_hand(self, permit: Permit, selection: Selection) -> "AtHand | None":
        """Give one instance of which parts can be given without waiting for anything; see ``Archive.at_hand``."""
        held = self.room.at_hand(permit, selection)
        if held is None or not permit.view_of(held.record.facts).is_full:
            return None
        is_on_record = self.windows.covers(permit.caller, permit, held.record.study_uid, _AT_HAND.value)
        return AtHand(self, permit, held) if is_on_record else None

    def again(self, permit: Permit, asked: "Again", to: str = "") -> float | None:
        """Put on record that what was given of a study before is given again; see ``Archive.retrieve_again``."""
        caller, study_uid = permit.caller, asked.study_uid
        facts = self.room.facts(permit, study_uid)
        if facts is None or not permit.scope.covers(facts) or not permit.view_of(facts).is_full:
            return None
        if not self.room.is_unchanged(permit, study_uid, asked.since):
            return None
        self.windows.request(caller, permit, asked.level.value, to)
        delay = self.pedal.study(caller, permit.action, study_uid, asked.octets)
        self.windows.study(caller, permit, study_uid, to)
        self.windows.count(caller, permit, study_uid, asked.octets, to=to, instances=asked.instances)
        return delay

    def refuse(self, permit: Permit, study_uid: str, reason: str) -> None:
        """Put on record that an instance was withheld."""
        self._ledger.record(
            Event.of(permit.caller, Outcome.REFUSED, permit.action, reason, door=self._door, study_uid=study_uid)
        )


class AtHand:
    """One instance that is permitted, on record and seen unmasked, for a door that gives parts of it at once.

    Attributes
    ----------
    record : InstanceRecord
        Which.
    """

    __slots__ = ("_held", "_permit", "_retrieving", "record")

    def __init__(self, retrieving: Retrieving, permit: Permit, held: Held) -> None:
        self._retrieving = retrieving
        self._permit = permit
        self._held = held
        self.record = held.record

    def ahead(self, octets: int) -> Iterator[Described]:
        """Give what else of its series is at hand (blocking), up to so many octets of objects.

        It is for the door to be prepared and for nobody to be shown, so it is not put on record. For who is braked
        the disk is not kept busy: then nothing.
        """
        permit, record = self._permit, self.record
        if not self._retrieving.pedal.has_room(permit.caller, permit.action, record.study_uid, record.size):
            return iter(())
        return self._retrieving.room.ahead(permit, record, octets)

    def read(self, parts: Sequence[tuple[int, int]]) -> bytes | memoryview:
        """Give the bytes at some offsets, of such lengths, one after the other, and count them as ``retrieve`` would.

        Raises
        ------
        NotAtHand
            When something would have to be waited for after all, or is wrong with what is on disk; nothing is counted
            then, and who reads it in the usual way hears what it is.
        """
        caller, action, study_uid = self._permit.caller, self._permit.action, self.record.study_uid
        windows, pedal = self._retrieving.windows, self._retrieving.pedal
        octets = sum(length for _, length in parts)
        if not pedal.has_room(caller, action, study_uid, octets):
            raise NotAtHand
        try:
            with self._held.open() as reader:
                pieces = [reader.view_at(*part) for part in parts]
        except Corrupt as error:
            raise NotAtHand from error
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        if len(data) < octets:
            raise NotAtHand
        windows.request(caller, self._permit, _AT_HAND.value, "")
        windows.study(caller, self._permit, study_uid)
        pedal.study(caller, action, study_uid, octets)
        windows.count(caller, self._permit, study_uid, octets)
        return data


@dataclass(frozen=True, slots=True)
class Again:
    """What a door gave before of one study, unmasked, and kept to give it again.

    Parameters
    ----------
    level : Level
        The Query/Retrieve Level.
    study_uid : str
        The study.
    since : int
        ``Archive.position`` before what is kept was located.
    instances, octets : int
        How many, and their bytes; 0 where the client has them still.
    """

    level: Level
    study_uid: str
    since: int
    instances: int
    octets: int


class Retrieval:
    """Located instances, permitted and on record, for a door to send one by one.

    The door says of each what became of it, once: ``sent`` or ``failed``. That
    is what the closing record counts; an instance may be opened and not sent,
    or be opened twice. It waits ``take_delay`` seconds before each, without
    holding anything that others wait for.
    """

    __slots__ = (
        "_delay",
        "_is_whole",
        "_permit",
        "_retrieving",
        "_to",
        "_told",
        "_views",
        "_weighed",
        "_withheld",
        "records",
    )

    def __init__(
        self,
        retrieving: Retrieving,
        permit: Permit,
        records: list[InstanceRecord],
        to: str,
        delay: float,
        *,
        is_whole: bool = True,
    ) -> None:
        self._is_whole = is_whole
        self._retrieving = retrieving
        self._permit = permit
        self._to = to
        self._delay = delay
        self._weighed: set[int] = set()
        self._withheld: dict[int, str] = {}
        self._told: set[str] = set()
        self._views: dict[str, View] = {}
        self.records = records

    def open(self, record: InstanceRecord) -> Reader:
        """Open one of ``records``, as the caller may see it.

        Under a view that masks, whole instances are written anew: ``size`` is
        not that of the record. Where whole instances were not wanted, what
        ``frames`` and BulkDataURIs point at is where they say; the rest is zeros.

        Raises
        ------
        Unsupported
            When it is withheld: ``withheld`` says so beforehand.
        Corrupt, NotHere, Busy, Throttled
        """
        why = self.withheld(record)
        if why:
            if record.study_uid not in self._told:
                self._told.add(record.study_uid)
                self._retrieving.refuse(self._permit, record.study_uid, why)
            raise Unsupported(why)
        if self._is_whole:
            self._weigh(record)
        view = self._view_of(record)
        if view.is_full:
            return self._retrieving.room.open(self._permit, record)
        masked, syntax = views.keys_of(view), record.transfer_syntax_uid
        places = None if self._is_whole else masked_places(self.metadata(record))
        reader = self._retrieving.room.open(self._permit, record)
        try:
            if places is None:
                return MaskedReader(reader, open_masked(reader, syntax, masked, self._retrieving.limits))
            return MaskedReader(reader, open_blanked(reader, syntax, places, self._retrieving.limits))
        except BaseException:
            reader.close()
            raise

    def is_as_stored(self, record: InstanceRecord) -> bool:
        """Say whether one of ``records`` leaves byte for byte as it came; else its size and digest are others."""
        return self._view_of(record).is_full

    def _view_of(self, record: InstanceRecord) -> View:
        """Give the view on the study of one of ``records``: they were located at one moment, so it is one for all.

        Sizes and digests were told by it. Where more is to be masked by now, the room gives nothing of them any more.
        """
        view = self._views.get(record.study_uid)
        if view is None:
            view = self._views[record.study_uid] = self._permit.view_of(record.facts)
        return view

    def withheld(self, record: InstanceRecord) -> str:
        """Say why one of ``records`` is not given to this caller, though its metadata is; empty when it is given."""
        if self.is_as_stored(record):
            return ""
        why = self._withheld.get(record.row)
        if why is None:
            attributes = self._retrieving.room.metadata(self._permit, record)
            why = why_withheld(record.sop_class_uid, record.transfer_syntax_uid, attributes)
            self._withheld[record.row] = why
        return why

    def _weigh(self, record: InstanceRecord) -> None:
        """Count the octets of an instance, once."""
        if record.row not in self._weighed:
            delay = self._retrieving.pedal.octets(self._permit.caller, self._permit.action, record.size)
            self._delay = max(self._delay, delay)
            self._weighed.add(record.row)

    def take_delay(self) -> float:
        """Give, once, the seconds to wait before the next instance."""
        delay, self._delay = self._delay, 0.0
        return delay

    def sent(self, record: InstanceRecord) -> None:
        """Count one of ``records`` whose receiver has it."""
        self._count(record, failed=False)

    def failed(self, record: InstanceRecord, why: str = "") -> None:
        """Count one of ``records`` whose receiver does not have it, though it was tried; ``why`` goes on record."""
        self._count(record, failed=True, why=why)

    def _count(self, record: InstanceRecord, *, failed: bool, why: str = "") -> None:
        octets = 0 if failed else record.size
        self._retrieving.windows.count(
            self._permit.caller, self._permit, record.study_uid, octets, failed=failed, why=why, to=self._to
        )

    def metadata(self, record: InstanceRecord) -> Attributes:
        """Give the JSON metadata of one of ``records``, as the caller may see it; raises as ``open``."""
        metadata = self._retrieving.room.metadata(self._permit, record)
        return views.apply(self._view_of(record), metadata)

    def read(self, records: Sequence[InstanceRecord], octets: int, *, goes_on: bool = False) -> None:
        """Count what is about to be sent of some of ``records`` of which not all was asked for; raises ``Throttled``.

        Parameters
        ----------
        records : sequence of InstanceRecord
            Of one study.
        octets : int
            Bytes of their metadata or frames.
        goes_on : bool
            Whether they were counted already: these are more bytes of the same.
        """
        if records:
            caller, permit = self._permit.caller, self._permit
            self._delay = max(self._delay, self._retrieving.pedal.octets(caller, permit.action, octets))
            self._retrieving.windows.count(
                caller, permit, records[0].study_uid, octets, to=self._to, instances=0 if goes_on else len(records)
            )

    def json_texts(self, records: Sequence[InstanceRecord]) -> list[JsonText]:
        """Give the JSON metadata of some of ``records``, as the caller may see it; raises as ``open``.

        Of the first, and of as many more as are not too large together.
        """
        texts = self._retrieving.room.json_texts(self._permit, records)
        seen = {each.study_uid: self._view_of(each) for each in records}
        if all(view.is_full for view in seen.values()):
            return texts
        for index, record in enumerate(records[: len(texts)]):
            view = seen[record.study_uid]
            if not view.is_full:
                texts[index] = JsonText.of(views.apply(view, texts[index].attributes()))
        return texts

    def frames(self, record: InstanceRecord) -> FrameTable | None:
        """Give where the frames of one of ``records`` are; None when it has none that can be told apart."""
        return self._retrieving.room.frames(self._permit, record)

    def fingerprint(self) -> bytes:
        """Give 32 bytes that are others when ``records`` are others, hold something else or are seen otherwise.

        Where something is masked they are those of this process: of the stored
        bytes all but a name may be known, and a digest would say whether a
        guess at it is right.
        """
        digest = hashlib.sha256()
        masked: dict[str, bytes] = {}
        for record in self.records:
            if record.study_uid not in masked:
                tags = sorted(self._view_of(record).masked)
                masked[record.study_uid] = b"".join(tag.to_bytes(4, "big") for tag in tags)
                digest.update(masked[record.study_uid])
            digest.update(record.sop_instance_uid.encode() + b"\0" + record.digest)
        if any(masked.values()):
            return hmac.digest(self._retrieving.blind, digest.digest(), "sha256")
        return digest.digest()
