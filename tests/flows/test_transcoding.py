"""A receiver that takes nothing compressed gets the pixels all the same, or is told which instance it did not get."""

import hashlib
from collections import defaultdict
from pathlib import Path
from typing import Any, cast

import pydicom
import pytest
from pydicom.uid import UID

from tests.corpus import CorpusFile
from tests.flows.corpus_rounds import Entry, entries
from tests.peers.dataset import read_head
from tests.peers.leadglass import Leadglass
from tests.peers.running import free_port
from tests.peers.scu import (
    STUDY_MOVE,
    UNCOMPRESSED,
    Collected,
    Way,
    acceptor,
    association,
    identifier,
    last_status,
)

pytestmark = [
    pytest.mark.corpus,
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("ignore::UserWarning:pydicom"),
]

LOSSLESS = {
    "1.2.840.10008.1.2.4.57",
    "1.2.840.10008.1.2.4.70",
    "1.2.840.10008.1.2.4.80",
    "1.2.840.10008.1.2.4.90",
    "1.2.840.10008.1.2.4.201",
    "1.2.840.10008.1.2.4.202",
    "1.2.840.10008.1.2.5",
}
"""Of these every decoder gives the same values."""


def _chosen(corpus: Path) -> list[tuple[Entry, CorpusFile]]:
    """Choose up to three grey images of each lossless syntax whose decoded values the manifest knows."""
    by_syntax: dict[str, list[tuple[Entry, CorpusFile]]] = defaultdict(list)
    studies: set[str] = set()
    for entry in entries(corpus):
        syntax = entry.instance.transfer_syntax_uid
        if entry.missing or syntax not in LOSSLESS or not entry.file.pixel_sha256 or entry.study_uid in studies:
            continue
        if not str(read_head(entry.file.path).get("PhotometricInterpretation", "")).startswith("MONOCHROME"):
            continue
        if len(by_syntax[syntax]) < 3:
            by_syntax[syntax].append((entry, entry.file))
            studies.add(entry.study_uid)
    return [pair for some in by_syntax.values() for pair in some]


def _move(way: Way, entry: Entry, syntaxes: tuple[str, ...], port: int) -> tuple[Any, Collected]:
    wanted = identifier(QueryRetrieveLevel="STUDY", StudyInstanceUID=entry.study_uid)
    with (
        acceptor("OLDDEST", [(entry.instance.sop_class_uid, syntaxes)], port=port) as received,
        association(way, [(STUDY_MOVE, UNCOMPRESSED)]) as assoc,
    ):
        last = last_status(assoc.send_c_move(wanted, "OLDDEST", UID(STUDY_MOVE)))
    return last, received


def _pixels(received: Collected, entry: Entry, tmp_path: Path) -> bytes:
    """Give the native pixel data that arrived, without its padding."""
    instance = received.instances[entry.instance.sop_instance_uid]
    path = tmp_path / "received"
    path.write_bytes(instance.data)
    dataset = cast("Any", pydicom).dcmread(path, force=True)
    dataset.file_meta.TransferSyntaxUID = instance.transfer_syntax_uid
    length = dataset.Rows * dataset.Columns * int(dataset.get("NumberOfFrames") or 1) * dataset.BitsAllocated // 8
    return cast("bytes", dataset.PixelData)[:length]


@pytest.mark.parametrize("syntax", UNCOMPRESSED, ids=["explicit", "implicit"])
def test_lossless_images_are_decompressed_to_the_same_values(corpus: Path, syntax: str, tmp_path: Path) -> None:
    chosen = _chosen(corpus)
    assert {entry.instance.transfer_syntax_uid for entry, _ in chosen} >= LOSSLESS - {"1.2.840.10008.1.2.4.202"}
    lead = Leadglass(tmp_path)
    lead.do("init")
    port = free_port()
    lead.device("OLDSTATION", plaintext=True)
    lead.device("OLDDEST", plaintext=True, port=port)
    lead.do("import", *(entry.file.path for entry, _ in chosen))
    wrong: list[str] = []
    with lead.serve() as doors:
        for entry, file in chosen:
            last, received = _move(Way(doors.plain[1], "OLDSTATION"), entry, (syntax,), port)
            if last.Status != 0x0000:
                wrong.append(f"{file.name}: {last}")
                continue
            got = hashlib.sha256(_pixels(received, entry, tmp_path)).hexdigest()
            if not got.startswith(file.pixel_sha256):
                wrong.append(f"{file.name}: other values")
    assert wrong == []


def test_what_cannot_be_decompressed_fails_by_name_and_says_why(corpus: Path, tmp_path: Path) -> None:
    video = next(
        one for one in entries(corpus) if one.instance.transfer_syntax_uid.startswith("1.2.840.10008.1.2.4.10")
    )
    lead = Leadglass(tmp_path)
    lead.do("init")
    port = free_port()
    lead.device("OLDSTATION", plaintext=True)
    lead.device("OLDDEST", plaintext=True, port=port)
    lead.do("import", video.file.path)
    with lead.serve() as doors:
        last, received = _move(Way(doors.plain[1], "OLDSTATION"), video, UNCOMPRESSED[:1], port)
    assert received.instances == {}
    assert last.Status != 0x0000
    assert last.NumberOfFailedSuboperations == 1
    assert last.ErrorComment
