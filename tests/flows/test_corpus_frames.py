"""The frame offsets recorded at ingest, compared with pydicom's frames, over the whole corpus."""

from pathlib import Path
from typing import Any, cast

import pydicom
import pytest
from pydicom.encaps import generate_fragments, generate_frames
from pydicom.uid import UID

from leadglass.dicom.ingest import Limits, describe
from leadglass.dicom.source import Bytes
from leadglass.dicom.uids import VIDEO
from tests.flows.corpus_rounds import Entry, entries

pytestmark = [pytest.mark.corpus, pytest.mark.filterwarnings("ignore::UserWarning:pydicom")]


def _pydicom_frames(entry: Entry) -> list[bytes] | None:
    """Give the frames as pydicom splits them; None where there are none, or pydicom cannot say."""
    dataset = cast("Any", pydicom).dcmread(entry.file.path, force=True)
    if "PixelData" not in dataset or "Rows" not in dataset:
        return None
    count = int(cast("int | None", dataset.get("NumberOfFrames")) or 1)
    data: bytes = dataset.PixelData
    syntax = UID(entry.instance.transfer_syntax_uid)
    if syntax.is_encapsulated:
        if syntax.is_private:
            return None
        if syntax in VIDEO:  # its frames are one bit stream, given as the first
            return [b"".join(generate_fragments(data[8 + int.from_bytes(data[4:8], "little") :]))]
        offsets = dataset.get("ExtendedOffsetTable")
        extended = (offsets, dataset.ExtendedOffsetTableLengths) if offsets else None
        return list(generate_frames(data, number_of_frames=count, extended_offsets=extended))
    bits = int(dataset.Rows) * int(dataset.Columns) * int(dataset.SamplesPerPixel) * int(dataset.BitsAllocated)
    if dataset.PhotometricInterpretation == "YBR_FULL_422":
        bits = bits * 2 // 3
    if bits % 8:
        return None  # frames of a bit-packed image need not begin at a byte (PS3.5 8.1.1)
    size = bits // 8
    return [data[n * size : (n + 1) * size] for n in range(count)]


def test_the_frame_offsets_are_pydicoms(corpus: Path) -> None:
    differ: list[str] = []
    compared = 0
    for entry in entries(corpus):
        if entry.missing or entry.instance.transfer_syntax_uid == "1.2.840.10008.1.2.1.99":
            continue
        expected = _pydicom_frames(entry)
        if expected is None:
            continue
        source = Bytes(entry.instance.data)
        table = describe(source, entry.instance.transfer_syntax_uid, Limits()).frames
        if table is None:
            differ.append(f"{entry.file.name}: no table, {len(expected)} frames")
            continue
        ours = [
            b"".join(source.read_at(offset, length) for offset, length in table.parts(index))
            for index in range(len(expected))
        ]
        compared += 1
        is_video = entry.instance.transfer_syntax_uid in VIDEO
        if ours != expected or (table.number_of_frames != len(expected) and not is_video):
            differ.append(f"{entry.file.name}: {table.number_of_frames} frames here, {len(expected)} in pydicom")
    assert differ == []
    assert compared > 300
