"""Quarantining: what is in quarantine, looked into; and what a sender need not send again.

Rule 1. Whoever may not decide over it sees nothing of it. Rule 2. Who may hand in
and not store is told of what it handed in itself, and of nothing else.
"""

from collections.abc import Sequence

from leadglass.archive.backroom import InstanceRecord, Looked, Mark, Selection
from leadglass.crypto.sealed import SealedReader
from leadglass.dicom.ingest import describe
from leadglass.dicom.matching import Level
from leadglass.errors import Corrupt, NotHere
from leadglass.policy.action import Action
from leadglass.policy.permit import Permit
from leadglass.vault.keys import object_identity
from leadglass.vault.parts import Parts
from leadglass.vault.reading import KeptWhole
from leadglass.vault.soundness import is_sound


def one(parts: Parts, permit: Permit, number: int) -> KeptWhole:
    """Give what the index says of one; raises ``NotHere``, also when it is not for this permit."""
    found = parts.reading.quarantined(permit, (number,))
    if not found:
        raise NotHere("There is no such instance in quarantine.")
    return found[0]


def open_kept(parts: Parts, item: KeptWhole) -> SealedReader:
    """Open one for reading; raises ``Corrupt``."""
    key = parts.keys.quarantine.unwrap(item.key, object_identity(item.place, item.kept.sop_instance_uid))
    return SealedReader(parts.objects.open(item.place), key, item.place.name)


def look(parts: Parts, permit: Permit, number: int) -> Looked:
    """Read one's header again: quarantine keeps no metadata.

    Raises
    ------
    NotHere, Corrupt, BadInput
    """
    item = one(parts, permit, number)
    with open_kept(parts, item) as reader:
        description = describe(reader, item.transfer_syntax_uid, parts.settings.limits)
    standing = parts.reading.locate(permit, Level.IMAGE, Selection(sop_instance_uids=(item.kept.sop_instance_uid,)))
    return Looked(
        item.kept,
        item.sop_class_uid,
        item.transfer_syntax_uid,
        item.digest,
        description.attributes,
        description.frames,
        standing[0] if standing else None,
    )


def known(parts: Parts, permit: Permit, marks: Sequence[Mark], origin: str) -> list[bool]:
    """Say of each whether sending it again would change nothing."""
    uids = {mark.sop_instance_uid for mark in marks}
    if not uids:
        return []
    if permit.action is Action.SUBMIT:
        given = parts.reading.handed_in(origin, uids)
        return [(mark.sop_instance_uid, mark.digest) in given for mark in marks]
    records = parts.reading.locate(permit, Level.IMAGE, Selection(sop_instance_uids=tuple(uids)))
    found = {(record.sop_instance_uid, record.digest): record for record in records}
    told = [found.get((mark.sop_instance_uid, mark.digest)) for mark in marks]
    return [record is not None and _opens(parts, permit, record) for record in told]


def _opens(parts: Parts, permit: Permit, record: InstanceRecord) -> bool:
    """Say whether a stored object opens: a damaged one is healed by what is sent again."""
    try:
        sealed = parts.reading.sealed(permit, record, to_show=False)
    except (Corrupt, NotHere):
        return False
    return is_sound(parts.objects, sealed.place, sealed.key, record.size)
