"""Every valid file of the corpus goes in and comes back with the same bytes.

In by C-STORE and by import; back by C-GET, C-MOVE and export. pynetdicom
carries the bytes, an independent splitter finds the data set in each file.
"""

import json
import zipfile
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import cast

import pytest
from pydicom.uid import UID

from tests.corpus import CORPUS
from tests.flows.corpus_rounds import Entry, entries, rounds
from tests.peers.dataset import read_head, split
from tests.peers.leadglass import Leadglass, Record, json_objects
from tests.peers.running import free_port
from tests.peers.scu import (
    STUDY_GET,
    STUDY_MOVE,
    UNCOMPRESSED,
    Collected,
    Instance,
    Way,
    acceptor,
    association,
    identifier,
    last_status,
    send,
)

pytestmark = [
    pytest.mark.corpus,
    pytest.mark.timeout(1200),
    pytest.mark.filterwarnings("ignore::UserWarning:pydicom"),  # it comments on what it reads
]

ROUNDS = range(len(rounds(CORPUS))) if (CORPUS / "MANIFEST.csv").is_file() else range(1)
"""Which rounds there are; without a corpus one, which skips."""

Pair = tuple[str, str]


def _pairs(load: Iterable[Entry]) -> list[Pair]:
    """Give what has to be negotiated: SOP class and transfer syntax."""
    return sorted({(one.instance.sop_class_uid, one.instance.transfer_syntax_uid) for one in load})


def _list_private_classes(lead: Leadglass, load: Iterable[Entry]) -> None:
    """List the private storage classes of a load, as an operator does who has such modalities."""
    private = sorted({sop_class for sop_class, _ in _pairs(load) if not sop_class.startswith("1.2.840.10008.")})
    (lead.data / "leadglass.toml").write_text(f"[ingest]\nprivate_sop_classes = {json.dumps(private)}\n")


def _contexts(pairs: Iterable[Pair]) -> list[tuple[str, tuple[str, ...]]]:
    return [(sop_class, (syntax,)) for sop_class, syntax in pairs]


def _send_all(way: Way, load: Iterable[Entry]) -> dict[str, int]:
    """C-STORE each file in its own syntax, in as few associations as 128 contexts allow; gives statuses by file."""
    by_pair: dict[Pair, list[Entry]] = defaultdict(list)
    for one in load:
        by_pair[one.instance.sop_class_uid, one.instance.transfer_syntax_uid].append(one)
    statuses: dict[str, int] = {}
    for some in _batches(sorted(by_pair), 120):
        with association(way, _contexts(some)) as assoc:
            assert assoc.is_established
            for pair in some:
                for one in by_pair[pair]:
                    statuses[one.file.name] = send(assoc, one.instance)
    return statuses


def _batches(pairs: list[Pair], size: int) -> Iterator[list[Pair]]:
    for start in range(0, len(pairs), size):
        yield pairs[start : start + size]


def _studies(load: Iterable[Entry]) -> dict[str, list[Entry]]:
    by_study: dict[str, list[Entry]] = defaultdict(list)
    for one in load:
        by_study[one.study_uid].append(one)
    return by_study


def _get_all(way: Way, load: Iterable[Entry]) -> dict[str, Instance]:
    """C-GET study by study, several studies an association."""
    got: dict[str, Instance] = {}
    for study, members in _studies(load).items():
        collected = Collected()
        with association(way, [(STUDY_GET, UNCOMPRESSED), *_contexts(_pairs(members))], get=collected) as assoc:
            assert assoc.is_established
            wanted = identifier(QueryRetrieveLevel="STUDY", StudyInstanceUID=study)
            last = last_status(assoc.send_c_get(wanted, UID(STUDY_GET)))
        assert last.Status == 0x0000, f"C-GET of {[one.file.name for one in members]}: {last}"
        got |= collected.instances
    return got


def _export_all(lead: Leadglass, load: Iterable[Entry], out: Path) -> dict[str, bytes]:
    """Export every study; gives data sets by SOP Instance UID."""
    studies = [option for study in _studies(load) for option in ("--study", study)]
    lead.do("export", *studies, "--out", out)
    return {
        str(read_head(path).SOPInstanceUID): split(path.read_bytes())[1]
        for path in out.rglob("*")
        if path.is_file() and path.name != "DICOMDIR"
    }


def _assert_identical(load: Iterable[Entry], got: dict[str, bytes]) -> None:
    differ = [one.file.name for one in load if got.get(one.instance.sop_instance_uid) != one.instance.data]
    assert differ == []


@pytest.mark.parametrize("number", ROUNDS)
def test_what_goes_in_by_store_comes_back_by_get_and_move(corpus: Path, number: int, tmp_path: Path) -> None:
    load = rounds(corpus)[number]
    lead = Leadglass(tmp_path)
    lead.do("init")
    _list_private_classes(lead, load)
    port = free_port()
    lead.device("OLDSTATION", plaintext=True)
    lead.device("OLDDEST", plaintext=True, port=port)
    with lead.serve() as doors:
        way = Way(doors.plain[1], "OLDSTATION")
        refused = {name: hex(status) for name, status in _send_all(way, load).items() if status != 0x0000}
        assert refused == {}
        again = {name: hex(status) for name, status in _send_all(way, load[:20]).items() if status != 0x0000}
        assert again == {}, "sent again, the same instance is not a conflict"

        got = _get_all(way, load)
        _assert_identical(load, {uid: one.data for uid, one in got.items()})
        encodings = {uid: one.transfer_syntax_uid for uid, one in got.items()}
        assert encodings == {one.instance.sop_instance_uid: one.instance.transfer_syntax_uid for one in load}

        by_class: dict[str, set[str]] = defaultdict(set)
        for sop_class, syntax in _pairs(load):
            by_class[sop_class].add(syntax)
        with (
            acceptor("OLDDEST", [(one, tuple(sorted(all_))) for one, all_ in by_class.items()], port=port) as moved,
            association(way, [(STUDY_MOVE, UNCOMPRESSED)]) as assoc,
        ):
            for study in _studies(load):
                wanted = identifier(QueryRetrieveLevel="STUDY", StudyInstanceUID=study)
                last = last_status(assoc.send_c_move(wanted, "OLDDEST", UID(STUDY_MOVE)))
                assert last.Status == 0x0000, f"C-MOVE of {study}: {last}"
        _assert_identical(load, {uid: one.data for uid, one in moved.instances.items()})
    assert lead.cli("fsck").code == 0


@pytest.mark.parametrize("number", ROUNDS)
def test_what_is_imported_comes_back_by_export(corpus: Path, number: int, tmp_path: Path) -> None:
    load = rounds(corpus)[number]
    lead = Leadglass(tmp_path)
    lead.do("init")
    _list_private_classes(lead, load)
    done = lead.cli("import", "--json", *(one.file.path for one in load))
    assert done.code == 0, done.said
    found = _export_all(lead, load, tmp_path / "out")
    _assert_identical(load, found)


def test_a_file_without_its_uids_is_refused_and_told_why(corpus: Path, tmp_path: Path) -> None:
    """Palettes, fragments of sequences and worklist items outside a study have nothing to be filed under."""
    lead = Leadglass(tmp_path)
    lead.do("init")
    nameless = [one for one in entries(corpus) if one.missing]
    assert nameless
    done = lead.cli("import", "--json", *(one.file.path for one in nameless))
    assert done.code == 1, done.said
    not_taken = cast("list[Record]", json_objects(done.out)[0]["not_taken"])
    reasons = {str(one["path"]): str(one["reason"]) for one in not_taken}
    assert set(reasons) == {str(one.file.path) for one in nameless}
    silent = [
        (one.file.name, reasons[str(one.file.path)])
        for one in nameless
        if not any(name in reasons[str(one.file.path)] for name in one.missing)
    ]
    assert silent == []


def test_the_media_set_goes_in_by_its_directory_and_as_a_zip(corpus: Path, tmp_path: Path) -> None:
    media = [one for one in entries(corpus) if one.file.tier == "fileset"]
    for kind in ("directory", "folder", "zip"):
        lead = Leadglass(tmp_path / kind)
        lead.do("init")
        root = corpus / "fileset"
        source = root / "DICOMDIR"
        if kind == "folder":
            source = root
        elif kind == "zip":
            source = tmp_path / "media.zip"
            with zipfile.ZipFile(source, "w") as archive:
                for path in root.rglob("*"):
                    archive.write(path, path.relative_to(root))
        report = json_objects(lead.do("import", "--json", source))[0]
        assert (report["stored"], report["refused"]) == (len(media), 0)
        _assert_identical(media, _export_all(lead, media, tmp_path / f"out-{kind}"))
