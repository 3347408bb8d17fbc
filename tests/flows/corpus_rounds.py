"""The corpus as loads that one archive can hold: no two files of a round contradict each other.

Several files of the corpus share a SOP Instance UID (one image in many
encodings) or a Study Instance UID (of different patients). An archive rightly
keeps the second aside, so each goes to an archive of its own round.
"""

import warnings
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.corpus import CorpusFile, read_manifest
from tests.peers.dataset import read_head, split, transfer_syntax
from tests.peers.scu import Instance


@dataclass(frozen=True, slots=True)
class Entry:
    """One valid file of the corpus, with what an independent reader says of it.

    Parameters
    ----------
    file : CorpusFile
        The row of the manifest.
    study_uid, series_uid : str
        As in the data set.
    patient_id : str
        As in the data set.
    instance : Instance
        The bytes to send.
    """

    file: CorpusFile
    study_uid: str
    series_uid: str
    patient_id: str
    instance: Instance

    @property
    def missing(self) -> tuple[str, ...]:
        """Which of the four UIDs the data set lacks; without them there is nothing to file it under."""
        uids = {
            "StudyInstanceUID": self.study_uid,
            "SeriesInstanceUID": self.series_uid,
            "SOPInstanceUID": self.instance.sop_instance_uid,
            "SOPClassUID": self.instance.sop_class_uid,
        }
        return tuple(name for name, value in uids.items() if not value)


@cache
def entries(corpus: Path) -> tuple[Entry, ...]:
    """Read every file outside ``malformed/`` that is an instance and not a directory of instances."""
    return tuple(_entry(file) for file in read_manifest(corpus) if not file.is_malformed and not file.is_directory)


def _entry(file: CorpusFile) -> Entry:
    head = read_head(file.path)
    meta, data = split(file.path.read_bytes())

    def text(keyword: str) -> str:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom converts values when they are asked for
            return str(head.get(keyword) or "").strip("\0 ")

    return Entry(
        file,
        text("StudyInstanceUID"),
        text("SeriesInstanceUID"),
        text("PatientID"),
        Instance(text("SOPClassUID"), text("SOPInstanceUID"), transfer_syntax(meta), data),
    )


@cache
def rounds(corpus: Path) -> tuple[tuple[Entry, ...], ...]:
    """Deal the entries that have their UIDs into rounds without contradictions, as few as a greedy dealer finds."""
    dealt: list[tuple[list[Entry], set[str], dict[str, str]]] = []
    for entry in entries(corpus):
        if entry.missing:
            continue
        for held, instances, patients in dealt:  # noqa: B007 - the round that broke the loop is used after it
            if entry.instance.sop_instance_uid in instances:
                continue
            if patients.get(entry.study_uid, entry.patient_id) == entry.patient_id:
                break
        else:
            held, instances, patients = list[Entry](), set[str](), dict[str, str]()
            dealt.append((held, instances, patients))
        held.append(entry)
        instances.add(entry.instance.sop_instance_uid)
        patients[entry.study_uid] = entry.patient_id
    return tuple(tuple(held) for held, _, _ in dealt)
