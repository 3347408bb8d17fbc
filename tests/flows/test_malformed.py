"""Every malformed file of the corpus gets the answer that its manifest row deserves, and the archive serves on.

The manifest says, for the cases made on purpose, what a careful archive does.
``reject`` may never be kept; what should be stored must be kept; the rest may
end either way. Nothing may crash, hang or slow down others.
"""

import re
from pathlib import Path
from typing import Any, cast

import pytest

from tests.corpus import CorpusFile
from tests.peers.dataset import read_head, split, transfer_syntax
from tests.peers.leadglass import Leadglass, Record, json_objects
from tests.peers.scu import UNCOMPRESSED, VERIFICATION, Instance, Way, association, send

pytestmark = [
    pytest.mark.corpus,
    pytest.mark.timeout(900),
    pytest.mark.filterwarnings("ignore::UserWarning:pydicom"),  # it comments on what it reads
]

_IN_THE_META_INFORMATION = frozenset({"malformed/own/group_length_huge.dcm"})
"""What is wrong with these does not travel: a C-STORE carries the data set only."""


def _outcomes(report: Record, files: tuple[CorpusFile, ...]) -> dict[str, str]:
    """Give what became of each file: import names those that it did not take."""
    not_taken = cast("list[Record]", report["not_taken"])
    by_path = {str(one["path"]): str(one["outcome"]) for one in not_taken}
    assert all(one["reason"] for one in not_taken)
    return {file.name: by_path.get(str(file.path), "taken") for file in files}


@pytest.fixture(scope="module")
def malformed(manifest: tuple[CorpusFile, ...]) -> tuple[CorpusFile, ...]:
    """Give the malformed files."""
    return tuple(file for file in manifest if file.is_malformed)


def test_import_names_every_bad_file_and_never_stops_at_one(malformed: tuple[CorpusFile, ...], tmp_path: Path) -> None:
    lead = Leadglass(tmp_path)
    lead.do("init")
    done = lead.cli("import", "--json", *(file.path for file in malformed), timeout=600)
    assert done.code == 3, done.said[-3000:]
    assert "Traceback" not in done.err
    outcomes = _outcomes(json_objects(done.out)[0], malformed)
    kept_wrongly = [one.name for one in malformed if one.must_be_refused and outcomes[one.name] == "taken"]
    lost_wrongly = [one.name for one in malformed if one.must_be_kept and outcomes[one.name] in {"refused", "skipped"}]
    assert kept_wrongly == []
    assert lost_wrongly == []
    assert lead.cli("fsck").code == 0


def _as_sent(file: CorpusFile) -> Instance | None:
    """Give what a careless modality would send: the bytes after the meta information, with whatever UIDs it says."""
    try:
        meta, data = split(file.path.read_bytes())
        head: Any = read_head(file.path)
    except Exception:  # noqa: BLE001 - pydicom fails on these in many ways; then the file is sent as Secondary Capture
        meta, data, head = {}, file.path.read_bytes(), {}
    uid = re.compile(r"^[0-9.]{1,64}$")

    def one(keyword: str, tag: int, otherwise: str) -> str:
        try:
            said = str(head.get(keyword) or meta.get(tag) or "").strip("\0 ")
        except Exception:  # noqa: BLE001 - as above
            said = ""
        return said if uid.match(said) else otherwise

    syntax = transfer_syntax(meta)
    return Instance(
        one("SOPClassUID", 0x00020002, "1.2.840.10008.5.1.4.1.1.7"),
        one("SOPInstanceUID", 0x00020003, "1.2.826.0.1.3680043.9.9999.1"),
        syntax if uid.match(syntax) else "1.2.840.10008.1.2.1",
        data,
    )


@pytest.mark.filterwarnings("ignore")
def test_a_modality_that_sends_malformed_data_sets_gets_an_answer_to_each(
    malformed: tuple[CorpusFile, ...], tmp_path: Path
) -> None:
    lead = Leadglass(tmp_path)
    lead.do("init")
    lead.device("OLDCT", allow="echo,store", plaintext=True)
    kept: list[str] = []
    lost: list[str] = []
    unanswered: list[str] = []
    with lead.serve() as doors:
        way = Way(doors.plain[1], "OLDCT")
        for file in malformed:
            sent = _as_sent(file)
            if sent is None or not sent.data or len(sent.data) % 2:
                continue
            contexts = [(sent.sop_class_uid, (sent.transfer_syntax_uid,)), (VERIFICATION, UNCOMPRESSED)]
            with association(way, contexts) as assoc:
                assert assoc.is_established, file.name
                if not any(one.abstract_syntax == sent.sop_class_uid for one in assoc.accepted_contexts):
                    continue  # not a storage class, or a syntax that nobody knows: refused in the negotiation
                status = send(assoc, sent)
                if status < 0:
                    unanswered.append(file.name)
                elif status == 0x0000 and file.must_be_refused and file.name not in _IN_THE_META_INFORMATION:
                    kept.append(file.name)
                elif status != 0x0000 and file.must_be_kept:
                    lost.append(f"{file.name}: {status:04X}")
            assert doors.process.poll() is None, f"{file.name} ended the archive"
        with association(way, [(VERIFICATION, UNCOMPRESSED)]) as assoc:
            assert assoc.send_c_echo().Status == 0x0000
    assert unanswered == []
    assert kept == []
    assert lost == []
