"""Resolving: what becomes of an instance in quarantine.

Rule: nothing is lost by accepting; what stood in its place changes places with
it, and its copy is let go as the same only after the other was opened.
"""

from collections.abc import Callable, Sequence
from typing import Final

from leadglass.archive.backroom import Resolution
from leadglass.crypto.sealed import SealedReader
from leadglass.dicom.ingest import describe
from leadglass.errors import Conflict, LeadglassError, NotHere
from leadglass.policy.permit import Permit
from leadglass.vault.committer import Failed, Work
from leadglass.vault.filing import Filing
from leadglass.vault.index import packed
from leadglass.vault.keys import object_identity
from leadglass.vault.parts import Parts
from leadglass.vault.reading import KeptWhole
from leadglass.vault.records import Arrived, Filed, Standing

_TOGETHER: Final = 64
"""Instances decided over in one transaction."""


def resolve_all(
    parts: Parts, permit: Permit, numbers: Sequence[int], resolution: Resolution
) -> list[str | LeadglassError]:
    """Accept or discard instances in quarantine; gives of each a sentence that says what was done, or why not.

    ``NotHere``: there is no such instance, or not for this permit. ``Corrupt``,
    ``BadInput``: it cannot be accepted because it cannot be read.
    """
    outcomes: list[str | LeadglassError] = []
    for start in range(0, len(numbers), _TOGETHER):
        outcomes += _resolve_some(parts, permit, numbers[start : start + _TOGETHER], resolution)
    return outcomes


def _resolve_some(
    parts: Parts, permit: Permit, numbers: Sequence[int], resolution: Resolution
) -> list[str | LeadglassError]:
    items = {item.kept.number: item for item in parts.reading.quarantined(permit, numbers)}
    outcomes: dict[int, str | LeadglassError] = {}
    works: dict[int, Work[str]] = {}
    for number in numbers:
        try:
            works[number] = Work(_deciding(parts, permit, items.get(number), resolution))
        except LeadglassError as error:
            outcomes[number] = error
    for number, outcome in zip(works, parts.committer.run_all(list(works.values())), strict=True):
        if isinstance(outcome, Failed):
            if not isinstance(outcome.error, LeadglassError):
                raise outcome.error
            outcomes[number] = outcome.error
        else:
            outcomes[number] = outcome
    return [outcomes[number] for number in numbers]


def _deciding(parts: Parts, permit: Permit, item: KeptWhole | None, resolution: Resolution) -> Callable[[Filing], str]:
    """Give the job that decides over one; raises what stands against it already."""
    if item is None:
        raise NotHere("There is no such instance in quarantine.")
    match resolution:
        case Resolution.DISCARD:
            return lambda filing: _discard(filing, item)
        case Resolution.ACCEPT:
            arrived = _read_again(parts, item)
            return lambda filing: _accept(filing, item, arrived, permit)


def _discard(filing: Filing, item: KeptWhole) -> str:
    filing.aside.release(item.kept, doomed=item.place)
    return f"Number {item.kept.number} was deleted, and the key that opened it."


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
