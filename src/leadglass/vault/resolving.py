"""Resolving: what becomes of an instance in quarantine.

Rule: nothing is lost by accepting; what stood in its place changes places with it.
"""

from dataclasses import dataclass

from leadglass.archive.backroom import Resolution
from leadglass.crypto.sealed import SealedReader
from leadglass.dicom.ingest import describe
from leadglass.errors import Conflict, NotHere
from leadglass.policy.permit import Permit
from leadglass.vault.filing import Filing
from leadglass.vault.index import packed
from leadglass.vault.keys import object_identity
from leadglass.vault.parts import Parts
from leadglass.vault.reading import KeptWhole
from leadglass.vault.records import Arrived, Filed, Standing


@dataclass(frozen=True, slots=True)
class _Swapped:
    """The number in quarantine of what stood in its place."""

    number: int


def resolve(parts: Parts, permit: Permit, number: int, resolution: Resolution) -> str:
    """Accept or discard one instance in quarantine; gives a sentence that says what was done.

    Raises
    ------
    NotHere
        When there is no such instance, or not for this permit.
    Corrupt, BadInput
        When it cannot be accepted because it cannot be read.
    """
    found = parts.reading.quarantined(permit, number)
    if not found:
        raise NotHere("There is no such instance in quarantine.")
    (item,) = found
    match resolution:
        case Resolution.DISCARD:
            parts.committer.run(lambda filing: filing.aside.release(item.kept, doomed=item.place))
            return f"Number {number} was deleted, and the key that opened it."
        case Resolution.ACCEPT:
            arrived = _read_again(parts, item)
            swapped = parts.committer.run(lambda filing: _accept(filing, item, arrived, permit))
            if swapped is None:
                return f"Number {number} was filed."
            return f"Number {number} was filed; the instance it replaces is now number {swapped.number} in quarantine."


def _read_again(parts: Parts, item: KeptWhole) -> Arrived:
    """Describe it once more: quarantine keeps no metadata."""
    uid = item.kept.sop_instance_uid
    key = parts.keys.quarantine.unwrap(item.key, object_identity(item.place, uid))
    with SealedReader(parts.objects.open(item.place), key, item.place.name) as reader:
        description = describe(reader, item.transfer_syntax_uid, parts.settings.limits)
    return Arrived(
        place=item.place,
        key=key,
        size=item.kept.size,
        digest=item.digest,
        study_uid=item.kept.study_uid,
        series_uid=item.kept.series_uid,
        sop_instance_uid=uid,
        sop_class_uid=item.sop_class_uid,
        transfer_syntax_uid=item.transfer_syntax_uid,
        patient_id=item.facts.patient_id,
        issuer_of_patient_id=item.facts.issuer_of_patient_id,
        origin=item.kept.origin,
        received=item.kept.received,
        attributes=description.attributes,
        packed=packed.pack(description.attributes),
        frames=description.frames.to_bytes() if description.frames is not None else None,
    )


def _accept(filing: Filing, item: KeptWhole, arrived: Arrived, permit: Permit) -> _Swapped | None:
    """File it in one transaction; what has its UID goes into quarantine, unless it is the same."""
    standing = filing.standing(arrived.sop_instance_uid)
    is_same = standing is not None and standing.digest == arrived.digest
    filing.aside.release(item.kept, doomed=item.place if is_same else None)
    if is_same:
        return None
    swapped: _Swapped | None = None
    if standing is not None:
        there = filing.facts(standing.study_uid)
        if there is None or not permit.scope.covers(there):
            raise NotHere("There is no such instance in quarantine.")
        swapped = _Swapped(filing.aside.put(standing, f"replaced by number {item.kept.number} of the quarantine"))
        filing.forget_instance(standing)
    match filing.file(arrived, permit, whatever_patient=True):
        case Filed():
            return swapped
        case Standing() | _:
            raise Conflict("Something else was stored under this UID meanwhile. Try again.")
