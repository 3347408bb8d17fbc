"""Every image of the corpus, presented by us, by pydicom and numpy, and by DCMTK.

What pydicom cannot decode it is given decoded (``test_transcode`` compares that);
what is compared here is the presentation. One level of gray may be between two
roundings. What the presentation of something without a window is, the Standard
leaves open: there the oracle follows our rule (docs/dicomweb.md).
"""

import io
import subprocess
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydicom import config
from pydicom.dataset import Dataset
from pydicom.pixels.processing import (
    apply_color_lut,  # pyright: ignore[reportUnknownVariableType]
    apply_modality_lut,  # pyright: ignore[reportUnknownVariableType]
    apply_voi_lut,  # pyright: ignore[reportUnknownVariableType]
)

from leadglass.dicom import uids
from leadglass.dicom.ingest import describe
from leadglass.dicom.render_model import IccProfile, PictureFormat, Wish
from leadglass.dicom.render_read import ImageReader, presentation
from leadglass.dicom.render_worker import render
from leadglass.dicom.renderer import Renderer
from leadglass.dicom.renderer import Stored as Image8
from leadglass.dicom.transcode import Transcoder
from leadglass.errors import BadInput, Full, LeadglassError, Unsupported
from tests.corpus import CorpusFile
from tests.dicom.sets import LIMITS, as_pydicom, stored

pytestmark = pytest.mark.corpus

Array = NDArray[Any]


@pytest.fixture(autouse=True)
def lenient(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(config.settings, "reading_validation_mode", config.IGNORE)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def ours(row: CorpusFile) -> tuple[Image8, int, Array] | None:
    """Give an image, which of its frames is looked at, and its picture; None when it has no pixels."""
    file = stored(row)
    description = describe(file.source, file.syntax, LIMITS)
    image = Image8(description.attributes, file.syntax, file.source, description.frames)
    if not {"7FE00010", "7FE00008", "7FE00009"} & description.attributes.keys() or description.frames is None:
        return None
    frame = description.frames.number_of_frames // 2
    renderer = Renderer()
    wish = Wish(format=PictureFormat.PNG, icc=IccProfile.YES)
    job, blocks = renderer.job(image, [frame], wish)
    assert renderer.job(replace(image, attributes=presentation(image.attributes)), [frame], wish)[0] == job
    _, data = render(replace(job, aspect=1.0), [b"".join(blocks)])
    return image, frame, np.asarray(Image.open(io.BytesIO(data)))


def theirs(data_set: Dataset, array: Array, frame: int, photometric: str, padded: NDArray[np.bool_]) -> Array:
    """Present a frame with pydicom: 0 … 1."""
    if photometric == "PALETTE COLOR":
        colors = apply_color_lut(array, data_set)
        deep = colors.dtype.itemsize > 1
        return colors / (65535.0 if deep else 255.0)
    if array.ndim == 3:
        return array / float((1 << int(data_set.BitsStored)) - 1)
    _flatten(data_set, frame)
    if array.dtype.kind == "f":
        return _floating(data_set, array)
    values = apply_modality_lut(array, data_set)
    shown = apply_voi_lut(values, data_set, index=0)
    low, high = _range(data_set, shown, padded)
    scaled = np.clip((shown - low) / (high - low), 0, 1) if high > low else np.zeros(shown.shape)
    return cast("Array", 1 - scaled if photometric == "MONOCHROME1" else scaled)


def _floating(data_set: Dataset, array: Array) -> Array:
    """Present floating point values, which pydicom does not: PS3.3 C.11.2.1.2.1, C.11.2.1.3.2."""
    array = array.astype(np.float64)
    width, center = data_set.get("WindowWidth"), data_set.get("WindowCenter")
    if width is None or center is None:
        seen = array[np.isfinite(array)]
        low, high = float(seen.min()), float(seen.max())
        return np.clip((array - low) / (high - low), 0, 1)
    if data_set.get("VOILUTFunction", "LINEAR") == "LINEAR" and width >= 1:
        return np.clip((array - (center - 0.5)) / (width - 1) + 0.5, 0, 1)
    return np.clip((array - center) / width + 0.5, 0, 1)


def _flatten(data_set: Dataset, frame: int) -> None:
    """Put what the functional groups say of a frame where pydicom looks for it."""
    groups = [
        *data_set.get("SharedFunctionalGroupsSequence", [])[:1],
        *data_set.get("PerFrameFunctionalGroupsSequence", [])[frame : frame + 1],
    ]
    for group in groups:
        for sequence in ("PixelValueTransformationSequence", "FrameVOILUTSequence"):
            for item in group.get(sequence, [])[:1]:
                for element in item:
                    data_set[element.tag] = element


def _range(data_set: Dataset, shown: Array, padded: NDArray[np.bool_]) -> tuple[float, float]:
    """Give what pydicom means by black and white."""
    stored_bits = int(data_set.get("BitsStored", 0))
    if data_set.get("VOILUTSequence"):
        bits = data_set.VOILUTSequence[0].LUTDescriptor[2]
        return 0.0, float((1 << bits) - 1)
    if data_set.get("WindowWidth") is not None and data_set.WindowWidth != "":
        if data_set.get("ModalityLUTSequence"):
            return 0.0, float((1 << data_set.ModalityLUTSequence[0].LUTDescriptor[2]) - 1)
        low, high = 0.0, float((1 << stored_bits) - 1)
        if data_set.PixelRepresentation == 1:
            low, high = -float(1 << (stored_bits - 1)), float((1 << (stored_bits - 1)) - 1)
        slope, intercept = data_set.get("RescaleSlope"), data_set.get("RescaleIntercept")
        if slope is not None and intercept is not None:
            low, high = low * float(slope) + float(intercept), high * float(slope) + float(intercept)
        return low, high
    is_segmentation = str(data_set.SOPClassUID).endswith((".66.4", ".66.7"))
    if stored_bits == 1:
        return 0.0, 1.0
    if 0 < stored_bits <= 8 and not is_segmentation:
        slope, intercept = float(data_set.get("RescaleSlope", 1) or 1), float(data_set.get("RescaleIntercept", 0) or 0)
        low = -(1 << (stored_bits - 1)) if data_set.PixelRepresentation == 1 else 0
        return low * slope + intercept, (low + (1 << stored_bits) - 1) * slope + intercept
    seen = shown[~padded & np.isfinite(shown)]
    low, high = (float(seen.min()), float(seen.max())) if seen.size else (0.0, 0.0)
    return (min(low, 0.0), high) if low == high or is_segmentation else (low, high)


def _decoded(row: CorpusFile, transcoder: Transcoder) -> Dataset:
    """Give the data set as pydicom reads it, decoded by us where it is compressed."""
    file = stored(row)
    if file.syntax not in uids.DECODED:
        return as_pydicom(file.body, file.syntax)
    plain = transcoder.transcode(file.source, file.syntax, uids.EXPLICIT_VR_LITTLE_ENDIAN)
    return as_pydicom(plain, uids.EXPLICIT_VR_LITTLE_ENDIAN)


def _difference(row: CorpusFile, transcoder: Transcoder) -> float | None:
    """Give the largest difference of a gray level between the two, None when there is no picture."""
    made = ours(row)
    if made is None:
        return None
    image, frame, picture = made
    data_set = _decoded(row, transcoder)
    reader = ImageReader(image.attributes, image.transfer_syntax_uid, lambda: image.source)
    pixels = reader.pixels()
    gray = reader.gray(frame, pixels)
    raw = data_set.pixel_array
    raw = raw[frame] if raw.ndim == (4 if pixels.samples > 1 else 3) else raw
    padded = np.zeros(raw.shape[:2], dtype=bool)
    if gray.padding is not None:
        padded = (raw >= gray.padding[0]) & (raw <= gray.padding[1])
    photometric = str(data_set.PhotometricInterpretation)
    expected = np.nan_to_num(theirs(data_set, raw, frame, photometric, padded)) * 255
    difference = np.abs(picture.astype(float) - expected)
    difference[padded] = 0
    return float(difference.max())


OTHERWISE = {
    "pylibjpeg-data/TOSHIBA_J2K_SIZ1_PixRep0.dcm": "the code stream is signed, which Pixel Representation denies",
    "fo-dicom/RI6XDosiGap.dcm": "a window narrower than 1, which pydicom refuses",
}
"""Files that are presented otherwise than pydicom does it, and why."""


def _images(manifest: tuple[CorpusFile, ...]) -> Iterator[CorpusFile]:
    """Give the images of the corpus; of each large series the first few."""
    seen: dict[str, int] = {}
    for row in manifest:
        if row.is_malformed or row.is_directory or row.transfer_syntax_uid in uids.VIDEO:
            continue
        seen[row.series_uid] = seen.get(row.series_uid, 0) + 1
        if seen[row.series_uid] <= 3 or not row.series_uid:
            yield row


def test_every_image_is_presented_as_pydicom_presents_it(manifest: tuple[CorpusFile, ...]) -> None:
    transcoder = Transcoder()
    compared: list[str] = []
    wrong: dict[str, str] = {}
    try:
        for row in _images(manifest):
            if row.name in OTHERWISE:
                continue
            try:
                difference = _difference(row, transcoder)
            except LeadglassError as error:
                if row.study_uid and row.pixel_sha256 and row.name != "fo-dicom/genFile.dcm":
                    wrong[row.name] = error.message
                continue
            if difference is None:
                continue
            compared.append(row.name)
            if difference > 1.01:
                wrong[row.name] = f"{difference:.1f} levels"
    finally:
        transcoder.close()
    assert wrong == {}
    assert len(compared) > 250


def _by_dcmtk(path: Path, folder: Path, *options: str) -> Array | None:
    """Present a file with DCMTK; None when it cannot."""
    out = folder / "picture.pnm"
    out.unlink(missing_ok=True)
    done = subprocess.run(["dcmj2pnm", "-O", *options, str(path), str(out)], capture_output=True, check=False)
    if done.returncode != 0 or not out.exists():
        return None
    with Image.open(out) as picture:
        return np.asarray(picture)


def test_windowed_images_are_presented_as_dcmtk_presents_them(manifest: tuple[CorpusFile, ...], tmp_path: Path) -> None:
    compared, wrong = 0, dict[str, float]()
    for row in _images(manifest):
        if row.frames > 1 or row.tier == "series" or row.transfer_syntax_uid not in uids.NATIVE or not row.study_uid:
            continue
        try:
            made = ours(row)
        except LeadglassError:
            continue
        if made is None:
            continue
        image, frame, picture = made
        reader = ImageReader(image.attributes, image.transfer_syntax_uid, lambda image=image: image.source)
        pixels = reader.pixels()
        gray = reader.gray(frame, pixels)
        if pixels.samples > 1 or gray.window is None or gray.voi is not None or row.name in OTHERWISE:
            continue
        other = _by_dcmtk(row.path, tmp_path, "+Wi", "1")
        if other is None or other.shape != picture.shape:
            continue
        compared += 1
        difference = np.abs(picture.astype(float) - other)
        if gray.padding is not None:
            difference = difference[other > 0]
        if difference.size and float(difference.max()) > 2:
            wrong[row.name] = float(difference.max())
    assert wrong == {}
    assert compared > 30


def test_files_that_mislead_others_give_a_picture_or_a_clear_no(manifest: tuple[CorpusFile, ...]) -> None:
    renderer = Renderer(deadline=60)
    shown = refused = 0
    try:
        for row in manifest:
            if not row.is_malformed:
                continue
            try:
                file = stored(row)
                description = describe(file.source, file.syntax, LIMITS)
            except LeadglassError:
                continue
            image = Image8(description.attributes, file.syntax, file.source, description.frames)
            count = description.frames.number_of_frames if description.frames is not None else 1
            for frames, wish in (([count - 1], Wish()), (range(count), Wish(format=PictureFormat.GIF))):
                try:
                    assert renderer.render(image, frames, wish).data
                    shown += 1
                except (BadInput, Unsupported, Full):
                    refused += 1
    finally:
        renderer.close()
    assert shown > 100
    assert refused > 30
