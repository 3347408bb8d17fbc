"""Resolving: what becomes of an instance in quarantine.

Rule: nothing is lost by accepting; what stood in its place changes places with
it, and its copy is let go as the same only after the other was opened.
"""

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
            return parts.committer.run(lambda filing: _accept(filing, item, arrived, permit))


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


def _accept(filing: Filing, item: KeptWhole, arrived: Arrived, permit: Permit) -> str:
    """File it in one transaction; what has its UID goes into quarantine, unless it is the same. Says what was done."""
    filed = f"Number {item.kept.number} was filed"
    standing = filing.standing(arrived.sop_instance_uid)
    if standing is not None and standing.is_same_as(arrived):
        if filing.is_sound(standing):
            filing.aside.release(item.kept, doomed=item.place)
            return f"{filed}."
        _demand_study(filing, standing, permit)
        filing.aside.release(item.kept)
        filing.heal(standing, arrived)
        return f"{filed}; the stored copy was damaged and is replaced by it."
    filing.aside.release(item.kept)
    if standing is not None:
        _demand_study(filing, standing, permit)
        swapped = filing.aside.put(standing, f"replaced by number {item.kept.number} of the quarantine")
        filed += f"; the instance it replaces is now number {swapped} in quarantine"
        filing.forget_instance(standing)
    match filing.file(arrived, permit, whatever_patient=True):
        case Filed():
            return f"{filed}."
        case Standing() | _:
            raise Conflict("Something else was stored under this UID meanwhile. Try again.")


def _demand_study(filing: Filing, standing: Standing, permit: Permit) -> None:
    """Raise ``NotHere`` when the permit does not cover the study of what is stored."""
    there = filing.facts(standing.study_uid)
    if there is None or not permit.scope.covers(there):
        raise NotHere("There is no such instance in quarantine.")
