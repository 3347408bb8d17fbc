"""The developers' corpus of real DICOM files, as tests see it.

Rule: it is read where it lies, beside the checkout, and never becomes part of the project.
"""

import csv
import os
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
"""The checkout."""

CORPUS = Path(os.environ.get("LEADGLASS_CORPUS", ROOT.parent / "shared" / "corpus"))
"""Where the corpus is; it may be absent."""


_KEEP = re.compile(
    r"^(store|tolerate, (mend|normalise|do not use)|refuse to render|ignore the table|no division"
    r"|do not draw|serve as|never serve)"
)


@dataclass(frozen=True, slots=True)
class CorpusFile:
    """One row of the manifest.

    Parameters
    ----------
    name : str
        Path inside the corpus.
    path : Path
        Where the file is.
    tier, kind : str
        ``core``, ``series``, ``fileset``, ``extra``; ``real``, ``derived``, ``synthetic``, ``malformed``.
    transfer_syntax_uid, sop_class_uid, study_uid, series_uid, sop_instance_uid : str
        As the manifest's maker read them; empty where it could not.
    frames : int
        Number of Frames, 1 where the file does not say.
    pixel_sha256 : str
        First 32 hexadecimal digits of the SHA-256 of the decoded values; empty where pydicom could not decode.
    expected : str
        For malformed files, what a careful archive does.
    """

    name: str
    path: Path
    tier: str
    kind: str
    transfer_syntax_uid: str
    sop_class_uid: str
    study_uid: str
    series_uid: str
    sop_instance_uid: str
    frames: int
    pixel_sha256: str
    expected: str

    @property
    def is_malformed(self) -> bool:
        """Whether the file is one of those that mislead or kill other software."""
        return self.kind == "malformed"

    @property
    def must_be_refused(self) -> bool:
        """Whether a malformed file is one that no careful archive keeps."""
        said = self.expected
        return (said.startswith("reject") and " or " not in said and "(" not in said) or said.startswith(
            ("refuse by expansion", "refuse, no recursion")
        )

    @property
    def must_be_kept(self) -> bool:
        """Whether what is wrong with a malformed file matters to who shows it, not to who keeps it."""
        return bool(_KEEP.match(self.expected)) and "reject" not in self.expected

    @property
    def is_directory(self) -> bool:
        """Whether the file is a DICOMDIR and so no instance (PS3.10 8.6)."""
        return self.sop_class_uid == "1.2.840.10008.1.3.10" or self.path.name.upper() == "DICOMDIR"


@cache
def read_manifest(corpus: Path) -> tuple[CorpusFile, ...]:
    """Read MANIFEST.csv."""
    with (corpus / "MANIFEST.csv").open(encoding="utf-8", newline="") as file:
        return tuple(
            CorpusFile(
                name=row["path"],
                path=corpus / row["path"],
                tier=row["tier"],
                kind=row["kind"],
                transfer_syntax_uid=row["transfer_syntax_uid"],
                sop_class_uid=row["sop_class_uid"],
                study_uid=row["study_uid"],
                series_uid=row["series_uid"],
                sop_instance_uid=row["sop_instance_uid"],
                frames=int(row["frames"]) if row["frames"].isdigit() else 1,
                pixel_sha256=row["pydicom_pixel_sha256"],
                expected=row["expected"],
            )
            for row in csv.DictReader(file)
        )
