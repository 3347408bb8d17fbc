"""Settings: what may be chosen of a vault, with the reason for each default."""

from dataclasses import dataclass, field

from leadglass.dicom.limits import Limits
from leadglass.vault.records import Caps, SubmittedCaps

_GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class VaultSettings:
    """Limits of a vault.

    Parameters
    ----------
    limits : Limits
        What one data set may cost to read.
    private_sop_classes : frozenset of str
        Private storage SOP classes that are taken in. None: each is a format that
        only its maker reads.
    max_instance_bytes : int
        Bytes of one data set. 16 GiB: whole slide images reach a few.
    min_free_bytes : int
        Bytes that stay free on the disk. 1 GiB: room to commit and to delete.
    objects_per_shelf : int
        Objects in one folder. 4,096: folders stay quick to list, and a sweep
        after a crash looks at no more than this for each process that died.
    batch : int
        Instances in one transaction.
    linger : float
        Seconds to wait for others before a transaction.
    quarantine : Caps
        What may be kept aside: 1,000 instances, 20 GiB. A sender that contradicts
        itself without end must not fill the disk.
    submitted : SubmittedCaps
        What may wait that was handed in through links: 50,000 instances and 100 GiB
        together, 20,000 and 50 GiB from each. A long CT is 2,000 instances, a link
        is for a study or a few; what nobody looks at must not fill the disk.
    """

    limits: Limits = field(default_factory=Limits)
    private_sop_classes: frozenset[str] = frozenset()
    max_instance_bytes: int = 16 * _GIB
    min_free_bytes: int = _GIB
    objects_per_shelf: int = 4_096
    batch: int = 64
    linger: float = 0.0
    quarantine: Caps = field(default_factory=lambda: Caps(instances=1_000, octets=20 * _GIB))
    submitted: SubmittedCaps = field(
        default_factory=lambda: SubmittedCaps(Caps(50_000, 100 * _GIB), each=Caps(20_000, 50 * _GIB))
    )
