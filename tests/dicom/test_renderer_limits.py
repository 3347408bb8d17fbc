"""What a picture may cost, and images that lie."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leadglass.dicom import uids
from leadglass.dicom.frames import FrameTable, Layout
from leadglass.dicom.model import JsonElement
from leadglass.dicom.render_model import (
    PictureFormat,
    Viewport,
    Wish,
    WishFault,
)
from leadglass.dicom.renderer import Renderer, RenderLimits, Stored
from leadglass.dicom.source import Bytes
from leadglass.errors import BadInput, Busy, Full, LeadglassError, NotHere, Unsupported
from tests.dicom.pictures import EXPLICIT, PNG, RAMP, SQUARES, image, said, seen


@pytest.fixture(scope="module")
def renderer() -> Iterator[Renderer]:
    made = Renderer(workers=1)
    yield made
    made.close()


# --- limits and lies ----------------------------------------------------------


def test_a_hundred_thousand_by_a_hundred_thousand_is_refused_before_anything_is_read(renderer: Renderer) -> None:
    class Unread:
        size = 1 << 40

        def read_at(self, offset: int, length: int) -> bytes:
            raise AssertionError("something was read")

    lying = image(SQUARES, Rows=said("UL", 100_000), Columns=said("UL", 100_000))
    lying = replace(lying, source=Unread(), frames=FrameTable(1, Layout.NATIVE, start=0, frame_bits=8 * 10**10))
    with pytest.raises(Full, match="100000 x 100000"):
        renderer.render(lying, [0], PNG)


def test_more_than_the_operator_allows_is_refused() -> None:
    small = Renderer(workers=1, limits=RenderLimits(samples=1000, side=100, cine_frames=3, cine_samples=500))
    try:
        with pytest.raises(Full):
            small.render(image(SQUARES), [0], PNG)
        tiny = np.zeros((4, 10, 10), dtype=np.uint8)
        with pytest.raises(WishFault, match="viewport"):
            small.render(image(tiny[0]), [0], replace(PNG, viewport=Viewport(101, 10)))
        with pytest.raises(WishFault, match="cine"):
            small.render(image(tiny, frames=4), range(4), Wish(format=PictureFormat.GIF))
        wide = np.zeros((3, 20, 10), dtype=np.uint8)
        with pytest.raises(WishFault, match="cine"):
            small.render(image(wide, frames=3), range(3), Wish(format=PictureFormat.GIF))
    finally:
        small.close()


def test_a_cine_of_a_hundred_thousand_frames_is_not_begun(renderer: Renderer) -> None:
    many = image(np.zeros((2, 2), dtype=np.uint8))
    many = replace(many, frames=FrameTable(100_000, Layout.NATIVE, start=0, frame_bits=32))
    with pytest.raises(WishFault, match="600 frames"):
        renderer.render(many, range(100_000), Wish(format=PictureFormat.GIF))
    with pytest.raises(NotHere):
        renderer.render(many, [100_000], PNG)
    with pytest.raises(LeadglassError, match="shorter"):
        renderer.render(many, [99_999], PNG)


@pytest.mark.parametrize(
    "more",
    [
        {"Rows": said("US", 0)}, {"Columns": said("US")}, {"BitsAllocated": said("US", 12)},
        {"BitsStored": said("US", 9)}, {"HighBit": said("US", 8)}, {"SamplesPerPixel": said("US", 2)},
        {"SamplesPerPixel": said("US", 70_000)}, {"Rows": said("US", -5)}, {"BitsStored": said("US", 0)},
        {"PhotometricInterpretation": said("CS", "RGB")}, {"SamplesPerPixel": said("US", 3)},
        {"Rows": said("US", 33)}, {"BitsAllocated": said("US", 16)},
        {"PhotometricInterpretation": said("CS", "YBR_FULL_422"), "SamplesPerPixel": said("US", 3)},
    ],
)  # fmt: skip
def test_attributes_that_do_not_fit_the_pixels_are_refused(more: dict[str, JsonElement], renderer: Renderer) -> None:
    with pytest.raises((BadInput, Unsupported)):
        renderer.render(image(SQUARES, also=more), [0], PNG)
    assert renderer.render(image(SQUARES), [0], PNG).width == 64


def test_a_video_is_said_to_be_one(renderer: Renderer) -> None:
    video = replace(
        image(SQUARES), transfer_syntax_uid=min(uids.VIDEO), frames=FrameTable(9, Layout.STREAM, spans=((0, 9),))
    )
    with pytest.raises(Unsupported, match="video"):
        renderer.render(video, [0], PNG)


def test_frames_that_cannot_be_told_apart_are_not_shown(renderer: Renderer) -> None:
    with pytest.raises(BadInput, match="told apart"):
        renderer.render(replace(image(SQUARES), frames=None), [0], PNG)
    with pytest.raises(BadInput, match="no pixel data"):
        renderer.render(Stored({}, EXPLICIT, Bytes(b""), None), [0], PNG)


def test_what_needs_more_memory_than_a_worker_has_is_refused_and_the_next_is_drawn() -> None:
    starved = Renderer(workers=1, memory_bytes=1 << 30)
    try:
        large = np.zeros((7_000, 7_000), dtype=np.uint32)
        with pytest.raises(BadInput, match="memory"):
            starved.render(image(large), [0], PNG)
        assert starved.render(image(SQUARES), [0], PNG).width == 64
    finally:
        starved.close()


def test_a_picture_past_its_deadline_is_given_up() -> None:
    hasty = Renderer(workers=1, deadline=0.01)
    try:
        with pytest.raises(Busy):
            hasty.render(image(SQUARES), [0], PNG)
    finally:
        hasty.close()


_NUMBERS = st.integers(-70_000, 70_000) | st.floats() | st.text(max_size=6) | st.none()
_HOSTILE = st.dictionaries(
    st.sampled_from([
        "Rows", "Columns", "BitsStored", "HighBit", "PixelRepresentation", "PlanarConfiguration", "WindowCenter",
        "WindowWidth", "RescaleSlope", "RescaleIntercept", "PixelPaddingValue", "PixelPaddingRangeLimit",
        "PixelAspectRatio", "PixelSpacing", "PhotometricInterpretation", "VOILUTFunction", "ModalityLUTSequence",
        "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence", "BitsAllocated", "SamplesPerPixel",
    ]),
    st.lists(_NUMBERS, max_size=3).map(lambda values: said("DS", *values)),
    max_size=4,
)  # fmt: skip


@given(more=_HOSTILE)
@settings(max_examples=150, deadline=None)
def test_whatever_attributes_say_there_is_a_picture_or_a_clear_no(
    more: dict[str, JsonElement], renderer: Renderer
) -> None:
    try:
        picture = renderer.render(image(RAMP, also=more), [0], PNG)
    except (BadInput, Unsupported, Full):
        return
    assert seen(picture).size
