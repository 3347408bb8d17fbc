"""What keeping images may be told: what is taken in, what work may cost, keys, promises, backups."""

from dataclasses import dataclass

from leadglass.sections.base import KIB, MIB, limit, seconds


@dataclass(frozen=True, slots=True)
class Ingest:
    """Limits on an instance on its way in, checked before the work they limit.

    Names and defaults of those on the header are those of ``dicom.limits.Limits``.
    """

    instance_bytes: int = limit(16 * 1024 * MIB, MIB, 1024 * 1024 * MIB)
    """Bytes of one data set. 16 GiB: whole slide images reach a few GiB; a sender
    that never ends must not fill the disk."""

    header_bytes: int = limit(64 * MIB, 64 * KIB, 1024 * MIB)
    """Bytes of element headers and kept values. 64 MiB: an enhanced multi-frame
    header with some ten thousand frames."""

    elements: int = limit(500_000, 1_000, 100_000_000)
    """Elements and items in one data set, those in sequences included."""

    depth: int = limit(64, 4, 500)
    """Sequences within sequences. 64: real objects stay below 20."""

    inflated_bytes: int = limit(1024 * MIB, MIB, 64 * 1024 * MIB)
    """Bytes a deflated data set may grow to: against small files that inflate without end."""

    inflation_ratio: int = limit(200, 2, 2_000)
    """How many times larger a deflated data set may become; images deflate about 2 to 20 times."""

    private_sop_classes: tuple[str, ...] = ()
    """UIDs of private storage SOP classes to take in. None: each is a format
    that only its maker reads; list those of your modalities."""

    private_transfer_syntaxes: tuple[str, ...] = ()
    """UIDs of private transfer syntaxes to take in, kept as they come. None:
    nobody but their maker's programs can show what is in them."""

    min_free_bytes: int = limit(1024 * MIB, 0, 1024 * 1024 * MIB)
    """Bytes that stay free on the disk; below it nothing more is taken in. 1 GiB:
    room to commit, to record and to delete."""

    quarantine_instances: int = limit(1_000, 1, 1_000_000)
    """Instances kept aside because they contradict what is stored. 1,000: a sender
    that contradicts itself without end must not fill the disk."""

    quarantine_bytes: int = limit(20 * 1024 * MIB, MIB, 1024 * 1024 * MIB)
    """Bytes of them. 20 GiB."""

    submitted_instances: int = limit(50_000, 1, 10_000_000)
    """Instances that may wait in quarantine after they came by receive links, of all
    links together. 50,000: some dozens of large studies."""

    submitted_bytes: int = limit(100 * 1024 * MIB, MIB, 100 * 1024 * 1024 * MIB)
    """Bytes of them. 100 GiB: what nobody looks at must not fill the disk."""

    submitted_instances_of_one: int = limit(20_000, 1, 10_000_000)
    """Of them, instances that came by one link. 20,000: a link is for a study or a few."""

    submitted_bytes_of_one: int = limit(50 * 1024 * MIB, MIB, 100 * 1024 * 1024 * MIB)
    """Of them, bytes that came by one link. 50 GiB."""


@dataclass(frozen=True, slots=True)
class Work:
    """What works at the same time, and for how long."""

    associations_per_device: int = limit(64, 1, 10_000)
    """Associations at one time of one device. 64: half of what one address may have,
    so that one device behind a gateway leaves room for the others."""

    threads: int = limit(16, 2, 256)
    """Threads for the synchronous core. 16: they mostly wait for the disk. A
    quarter of them may work on queries at one time, so that storing goes on."""

    query_seconds: float = seconds(120.0, 1, 3_600)
    """Seconds for which a query may work without a match before it is answered as
    out of resources. 120: clients lose patience earlier."""

    commit_instances: int = limit(64, 1, 10_000)
    """Instances that may share one transaction. 64: a commit of 16 costs each a
    tenth of one alone, and beyond 64 little is gained."""

    decoders: int = limit(2, 1, 64)
    """Worker processes that decode pixels. 2: decoding is for receivers that did
    not accept the stored transfer syntax, which is seldom."""

    decoder_seconds: float = seconds(60.0, 1, 3_600)
    """Seconds for one data set before its worker is killed."""

    decoder_bytes: int = limit(512 * MIB, MIB, 64 * 1024 * MIB)
    """Bytes of the largest data set decoded, before and after."""

    decoder_memory_bytes: int = limit(4096 * MIB, 256 * MIB, 1024 * 1024 * MIB)
    """Bytes of address space of one worker."""

    renderers: int = limit(2, 1, 64)
    """Worker processes that make pictures (rendered, thumbnail). 2: one for each core
    of the smallest machine; more help only where there are more cores."""

    renderer_seconds: float = seconds(30.0, 1, 3_600)
    """Seconds for one picture before its worker is killed. 30: a thousand times what
    a CT slice takes."""

    rendered_samples: int = limit(128 * MIB, MIB, 4096 * MIB)
    """Rows x Columns x Samples per Pixel of the largest frame that is rendered.
    128 Mi: three times a large mammogram; slides are stored in tiles."""


@dataclass(frozen=True, slots=True)
class Key:
    """Where the secret comes from that opens the archive key.

    It says how a new archive is made, and what must be so afterwards;
    ``leadglass key move`` changes it.
    """

    source: str = ""
    """``file``, ``passphrase``, ``environment`` or ``credential``. Empty: as the
    archive was made, and for a new one a file in the data folder, because that
    starts without anybody."""

    file: str = ""
    """The key file, where the source is ``file`` and it is to lie elsewhere: a
    full path. Empty: in the data folder."""


@dataclass(frozen=True, slots=True)
class Commitment:
    """Storage Commitment: what may be asked, and how patiently it is answered."""

    references: int = limit(20_000, 1, 200_000)
    """References in one request. 20,000: more instances than one examination makes."""

    open_per_device: int = limit(50, 1, 10_000)
    """Transactions of one device that are not reported yet. 50: a modality asks once for each examination."""

    retry: float = seconds(30.0, 0.1, 86_400)
    """Seconds until a report that did not arrive is sent again; each pause is twice the one before."""

    retry_longest: float = seconds(3_600.0, 1, 86_400)
    """Seconds between two attempts at most."""

    give_up: float = seconds(259_200.0, 1, 2_592_000)
    """Seconds after which a report is given up, with an alert. Three days: a
    modality that was switched off on Friday is back on Monday."""


@dataclass(frozen=True, slots=True)
class Backup:
    """What tells the self-check of backups that something else makes."""

    marker: str = ""
    """A file that the copying job touches when it ended well (a full path); its time counts
    as the last backup's. Empty: none is known of."""

    longest_days: int = limit(2, 1, 366)
    """Days after which the last backup is old. 2: made every night, one may fail."""
