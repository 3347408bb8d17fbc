import csv
import hashlib
import os
import signal
import threading
import tracemalloc
import warnings
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from pydicom import config
from pydicom.dataset import Dataset

from leadglass.dicom import tags, uids
from leadglass.dicom.ingest import describe
from leadglass.dicom.room import Room
from leadglass.dicom.source import Bytes
from leadglass.dicom.transcode import Transcoder
from leadglass.errors import BadInput, Busy, Full, LeadglassError, Unsupported
from tests.corpus import CorpusFile
from tests.dicom.sets import LIMITS, Stored, as_pydicom, element, stored

EXPLICIT = uids.EXPLICIT_VR_LITTLE_ENDIAN
LOSSY = frozenset({uids.JPEG_BASELINE, uids.JPEG_EXTENDED, uids.JPEG_XL_RECOMPRESSION})
"""Transfer syntaxes whose decoders may differ in the last bit."""


@pytest.fixture(scope="module")
def transcoder() -> Iterator[Transcoder]:
    made = Transcoder(deadline=60)
    yield made
    made.close()


def _row(manifest: tuple[CorpusFile, ...], name: str) -> CorpusFile:
    return next(row for row in manifest if row.name == name)


def _decoded(transcoder: Transcoder, file: Stored, syntax: str = EXPLICIT) -> Dataset:
    return as_pydicom(transcoder.transcode(file.source, file.syntax, syntax), syntax)


def _hash(data_set: Dataset) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        array = data_set.pixel_array
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:32]


def test_every_compressed_file_decodes_to_the_pixels_of_the_manifest(
    corpus: Path, manifest: tuple[CorpusFile, ...], transcoder: Transcoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config.settings, "reading_validation_mode", config.IGNORE)
    with (corpus / "MANIFEST.csv").open(encoding="utf-8", newline="") as listed:
        hashes = {row["path"]: row["pydicom_pixel_sha256"] for row in csv.DictReader(listed)}
    decoded: set[str] = set()
    wrong: dict[str, str] = {}
    for row in manifest:
        if row.is_malformed or row.transfer_syntax_uid not in uids.DECODED or row.name in UNDECODABLE:
            continue
        file = stored(row)
        try:
            data_set = _decoded(transcoder, file)
        except LeadglassError as error:
            wrong[row.name] = error.message
            continue
        if "PixelData" not in data_set:
            continue
        decoded.add(row.transfer_syntax_uid)
        if hashes[row.name] and row.name not in OTHER_DECODER and row.transfer_syntax_uid not in LOSSY:
            found = _hash(data_set)
            if found != hashes[row.name]:
                wrong[row.name] = "other pixels"
        else:
            assert data_set.pixel_array.size
    assert wrong == {}
    assert decoded >= uids.JPEG_LS_FAMILY | uids.HTJ2K_FAMILY | uids.JPEG_XL_FAMILY | LOSSY
    assert decoded >= {uids.JPEG_2000_LOSSLESS, uids.JPEG_2000, uids.RLE_LOSSLESS, uids.DEFLATED_IMAGE_FRAME}
    assert decoded >= {uids.JPEG_LOSSLESS, uids.JPEG_LOSSLESS_SV1, uids.ENCAPSULATED_UNCOMPRESSED}


UNDECODABLE = frozenset({"fo-dicom/multiframe.dcm", "fo-dicom/genFile.dcm"})
"""Files whose frames are not what their attributes say; pydicom does not decode them either."""
OTHER_DECODER = frozenset({"fo-dicom/VL5_J2KI.dcm"})
"""An irreversible JPEG 2000 stream where two builds of one decoder round 16 of 26 million samples apart."""


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("cornerstone3D/TestPattern_JPEG-Baseline_YBR422.dcm", "YBR_FULL_422", "RGB"),
        ("cornerstone3D/TestPattern_JPEG-Baseline_YBRFull.dcm", "YBR_FULL", "RGB"),
        ("pydicom-data/US1_J2KI.dcm", "YBR_ICT", "RGB"),
        ("cornerstone3D/TestPattern_JPEG-Lossless_RGB.dcm", "RGB", "RGB"),
        ("pydicom/SC_jpeg_no_color_transform.dcm", "RGB", "RGB"),
        ("synthetic/transfer_syntaxes/JXL_rgb_3frames.dcm", "XYB", "RGB"),
        ("pydicom/MR_small_RLE.dcm", "MONOCHROME2", "MONOCHROME2"),
        ("cornerstone3D/no-pixel-spacing.dcm", "PALETTE COLOR", "PALETTE COLOR"),
    ],
)
def test_the_photometric_interpretation_says_what_the_pixels_are(
    name: str, before: str, after: str, manifest: tuple[CorpusFile, ...], transcoder: Transcoder
) -> None:
    file = stored(_row(manifest, name))
    assert as_pydicom(file.body, file.syntax)["PhotometricInterpretation"].value == before
    data_set = _decoded(transcoder, file)
    assert data_set["PhotometricInterpretation"].value == after
    if data_set["SamplesPerPixel"].value == 3:
        assert data_set["PlanarConfiguration"].value == 0


def test_what_was_lossy_stays_marked_and_tables_of_fragments_go(
    manifest: tuple[CorpusFile, ...], transcoder: Transcoder
) -> None:
    lossy = _decoded(transcoder, stored(_row(manifest, "pydicom-data/US1_J2KI.dcm")))
    assert lossy["LossyImageCompression"].value == "01"
    table = stored(_row(manifest, "synthetic/transfer_syntaxes/extended_offset_table.dcm"))
    before = as_pydicom(table.body, table.syntax)
    after = _decoded(transcoder, table)
    assert "ExtendedOffsetTable" in before
    assert not {"ExtendedOffsetTable", "ExtendedOffsetTableLengths"} & {each.keyword for each in after}
    assert after["NumberOfFrames"].value == before["NumberOfFrames"].value


@pytest.mark.parametrize("syntax", sorted(uids.UNCOMPRESSED))
def test_pixels_are_the_same_in_every_encoding_they_are_decoded_to(
    syntax: str, manifest: tuple[CorpusFile, ...], transcoder: Transcoder
) -> None:
    for name in ("pydicom/SC_rgb_rle_16bit_2frame.dcm", "pydicom-data/liver_nonbyte_aligned_j2k.dcm"):
        file = stored(_row(manifest, name))
        assert _hash(_decoded(transcoder, file, syntax)) == _hash(_decoded(transcoder, file))


def test_everything_but_the_pixels_stays(manifest: tuple[CorpusFile, ...], transcoder: Transcoder) -> None:
    file = stored(_row(manifest, "pydicom/MR_small_RLE.dcm"))
    out = transcoder.transcode(file.source, file.syntax, EXPLICIT)
    before = describe(file.source, file.syntax, LIMITS).attributes
    after = describe(Bytes(out), EXPLICIT, LIMITS).attributes
    assert before.keys() == after.keys()
    changed = {tag for tag in before if before[tag] != after[tag]}
    assert changed <= {tags.key(tags.PixelData)} | {tag for tag in before if "BulkDataURI" in before[tag]}


# --- what cannot be done ------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "fragments_none", "jpeg_garbage", "jpeg_truncated", "jpeg_bigger_than_rows", "j2k_huge_header",
        "j2k_truncated", "jls_garbage", "rle_bad_offsets", "rle_bomb",
    ],
)  # fmt: skip
def test_damaged_frames_are_refused_and_the_next_job_is_done(
    name: str, manifest: tuple[CorpusFile, ...], transcoder: Transcoder
) -> None:
    file = stored(_row(manifest, f"malformed/own/{name}.dcm"))
    with pytest.raises(BadInput):
        transcoder.transcode(file.source, file.syntax, EXPLICIT)
    good = stored(_row(manifest, "pydicom/MR_small_RLE.dcm"))
    assert transcoder.transcode(good.source, good.syntax, EXPLICIT)


def test_what_can_be_done_is_known_before(transcoder: Transcoder) -> None:
    assert transcoder.can(uids.JPEG_2000, uids.IMPLICIT_VR_LITTLE_ENDIAN)
    assert transcoder.can(uids.EXPLICIT_VR_BIG_ENDIAN, uids.DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN)
    assert transcoder.can(uids.JPEG_2000, uids.JPEG_2000)
    assert not transcoder.can(uids.EXPLICIT_VR_LITTLE_ENDIAN, uids.JPEG_2000)
    assert not any(transcoder.can(video, EXPLICIT) for video in uids.VIDEO)
    with pytest.raises(Unsupported):
        transcoder.transcode(Bytes(b""), min(uids.VIDEO), EXPLICIT)


def test_what_is_too_large_is_refused_before_it_is_decoded(manifest: tuple[CorpusFile, ...]) -> None:
    small = Transcoder(max_bytes=100_000)
    try:
        with pytest.raises(Full):
            small.transcode(Bytes(bytes(100_001)), uids.JPEG_2000, EXPLICIT)
        file = stored(_row(manifest, "pydicom/SC_rgb_jpeg_gdcm.dcm"))
        with pytest.raises(Full):
            Transcoder(max_bytes=file.source.size + 10).transcode(file.source, file.syntax, EXPLICIT)
        bomb = zlib.compressobj(wbits=-15)
        deflated = bomb.compress(element(tags.PixelData, "OB", bytes(200_000))) + bomb.flush()
        with pytest.raises(Full):
            small.transcode(Bytes(deflated), uids.DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN, EXPLICIT)
    finally:
        small.close()


def test_a_data_set_without_pixels_only_changes_its_encoding(transcoder: Transcoder) -> None:
    data = element(tags.PatientID, "LO", b"4711")
    assert transcoder.transcode(Bytes(data), uids.JPEG_2000, EXPLICIT) == data


def _deflated(data: bytes) -> Bytes:
    deflater = zlib.compressobj(1, wbits=-15)
    return Bytes(deflater.compress(data) + deflater.flush())


@pytest.mark.parametrize(
    ("stored", "wanted"),
    [
        (uids.DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN, EXPLICIT),
        (uids.DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN, uids.EXPLICIT_VR_BIG_ENDIAN),
        (uids.DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN, uids.IMPLICIT_VR_LITTLE_ENDIAN),
        (EXPLICIT, uids.DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN),
    ],
)
def test_what_is_only_written_in_another_way_is_never_whole_in_memory(
    transcoder: Transcoder, stored: str, wanted: str
) -> None:
    pixels = b"".join(number.to_bytes(2, "big") for number in range(1 << 14)) * 768
    whole = element(tags.Rows, "US", b"\1\2") + element(tags.PixelData, "OW", pixels)
    source = _deflated(whole) if stored in uids.DEFLATED else Bytes(whole)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        given = hashlib.sha256()
        with transcoder.opened(source, stored, wanted) as made:
            size = made.size
            offset = 0
            while block := made.read_at(offset, 1 << 20):
                given.update(block)
                offset += len(block)
        assert offset == size
        assert tracemalloc.get_traced_memory()[1] - before < len(pixels) // 3
    finally:
        tracemalloc.stop()
    assert given.digest() == hashlib.sha256(transcoder.transcode(source, stored, wanted)).digest()


@pytest.mark.parametrize("wanted", [EXPLICIT, uids.RLE_LOSSLESS])
def test_there_is_room_for_what_is_decoded_before_it_is(manifest: tuple[CorpusFile, ...], wanted: str) -> None:
    room = Room(2 << 20)
    careful = Transcoder(workers=1, room=room)
    before = _children()
    file = stored(_row(manifest, "pylibjpeg-data/RG2_JLSL.dcm"))
    try:
        with room.hold(2 << 20), pytest.raises(Busy):
            careful.transcode(file.source, file.syntax, wanted)
        assert _children() == before, "nothing was decoded"
        with careful.opened(file.source, file.syntax, wanted) as made:
            assert 1 << 20 < room.held <= made.size
            with pytest.raises(Busy):
                careful.transcode(file.source, file.syntax, wanted)
        assert room.held == 0
    finally:
        careful.close()


# --- the workers --------------------------------------------------------------


def _children() -> set[int]:
    """Give the codec workers among this process' children."""
    found: set[int] = set()
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            parent = next(line for line in status.read_text().splitlines() if line.startswith("PPid:"))
            command = status.with_name("cmdline").read_bytes()
        except (OSError, StopIteration):
            continue  # it ended meanwhile
        if int(parent.split()[1]) == os.getpid() and b"codec_worker" in command:
            found.add(int(status.parent.name))
    return found


@pytest.fixture
def alone() -> Iterator[Transcoder]:
    made = Transcoder(workers=1)
    yield made
    made.close()


def test_no_worker_runs_before_it_is_needed_nor_after_closing(
    alone: Transcoder, manifest: tuple[CorpusFile, ...]
) -> None:
    before = _children()
    file = stored(_row(manifest, "pydicom/MR_small_RLE.dcm"))
    alone.transcode(file.source, file.syntax, EXPLICIT)
    (worker,) = _children() - before
    alone.close()
    assert worker not in _children()
    with pytest.raises(Busy):
        alone.transcode(file.source, file.syntax, EXPLICIT)


def test_a_worker_that_died_is_replaced(alone: Transcoder, manifest: tuple[CorpusFile, ...]) -> None:
    before = _children()
    file = stored(_row(manifest, "pydicom/MR_small_RLE.dcm"))
    expected = alone.transcode(file.source, file.syntax, EXPLICIT)
    (worker,) = _children() - before
    os.kill(worker, signal.SIGKILL)
    try:
        again = alone.transcode(file.source, file.syntax, EXPLICIT)
    except BadInput:  # it died under this very job
        again = alone.transcode(file.source, file.syntax, EXPLICIT)
    assert again == expected


def test_a_job_past_its_deadline_is_ended(manifest: tuple[CorpusFile, ...]) -> None:
    hasty = Transcoder(workers=1, deadline=0.01)
    file = stored(_row(manifest, "pydicom/MR_small_RLE.dcm"))
    try:
        with pytest.raises(Busy):
            hasty.transcode(file.source, file.syntax, EXPLICIT)
    finally:
        hasty.close()


def test_a_worker_has_no_more_memory_than_it_is_given(manifest: tuple[CorpusFile, ...]) -> None:
    starved = Transcoder(workers=1, memory_bytes=32 << 20)
    file = stored(_row(manifest, "pydicom/MR_small_RLE.dcm"))
    try:
        with pytest.raises((BadInput, Unsupported)):
            starved.transcode(file.source, file.syntax, EXPLICIT)
    finally:
        starved.close()


def test_a_worker_inherits_no_secrets(
    alone: Transcoder, manifest: tuple[CorpusFile, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEADGLASS_SECRET", "hunter2")
    before = _children()
    file = stored(_row(manifest, "pydicom/MR_small_RLE.dcm"))
    alone.transcode(file.source, file.syntax, EXPLICIT)
    (worker,) = _children() - before
    assert b"hunter2" not in Path(f"/proc/{worker}/environ").read_bytes()
    assert {str(Path(f"/proc/{worker}/fd/{fd}").readlink()).split(":")[0] for fd in (0, 1)} == {"pipe"}


def test_several_threads_share_the_workers(transcoder: Transcoder, manifest: tuple[CorpusFile, ...]) -> None:
    names = ["pydicom/MR_small_RLE.dcm", "pydicom/MR_small_jp2klossless.dcm", "pydicom/SC_rgb_rle_16bit_2frame.dcm"]
    files = [stored(_row(manifest, name)) for name in names]
    expected = [transcoder.transcode(file.source, file.syntax, EXPLICIT) for file in files]

    def work(index: int) -> bool:
        file = files[index % 3]
        return transcoder.transcode(file.source, file.syntax, EXPLICIT) == expected[index % 3]

    with ThreadPoolExecutor(6) as pool:
        assert all(pool.map(work, range(24)))
    assert threading.active_count() < 50
