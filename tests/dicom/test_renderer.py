"""Pictures of images made for the purpose: geometry, gray, color, text, limits, and what is hostile."""

import base64
import io
from collections.abc import Iterator
from dataclasses import replace
from struct import pack

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms
from pydicom.dataset import Dataset
from pydicom.pixels.processing import (
    _expand_segmented_lut,  # pyright: ignore[reportPrivateUsage]
    apply_windowing,  # pyright: ignore[reportUnknownVariableType]
)

from leadglass.dicom import tags, uids
from leadglass.dicom.frames import FrameTable, Layout
from leadglass.dicom.model import Attributes, JsonElement
from leadglass.dicom.render_color import to_rgb
from leadglass.dicom.render_gray import lut_values, windowed
from leadglass.dicom.render_model import (
    IccProfile,
    Lut,
    Palette,
    PictureFormat,
    Pixels,
    Viewport,
    VoiFunction,
    Window,
    Wish,
    WishFault,
)
from leadglass.dicom.render_read import presentation
from leadglass.dicom.render_samples import samples_of
from leadglass.dicom.render_text import drawable
from leadglass.dicom.renderer import Renderer, delays
from leadglass.dicom.source import Bytes
from leadglass.errors import BadInput, Unsupported
from tests.dicom.pictures import EXPLICIT, PNG, RAMP, SQUARES, image, said, seen


@pytest.fixture(scope="module")
def renderer() -> Iterator[Renderer]:
    made = Renderer(workers=1)
    yield made
    made.close()


# --- gray ---------------------------------------------------------------------


def test_without_a_window_the_least_value_is_black_and_the_greatest_white(renderer: Renderer) -> None:
    shown = seen(renderer.render(image(RAMP + 700), [0], PNG))
    assert (shown[0, 0], shown[-1, -1]) == (0, 255)
    assert np.all(np.diff(shown.astype(int).ravel()) >= 0)


def test_a_few_bright_values_leave_no_picture_dark_where_people_only_look_around(renderer: Renderer) -> None:
    values = np.zeros((100, 100), np.int16)
    values[30:70, 30:70] = 60
    values[30:70, 30:50] = 30
    values[50, 50:53] = 1_000  # three of 1,600 that are not the ground, as vessels are
    assert seen(renderer.render(image(values), [0], PNG))[40, 60] < 20
    shown = seen(renderer.render(image(values), [0], replace(PNG, leaves_out=0.005)))
    assert (shown[0, 0], shown[40, 60], shown[50, 51]) == (0, 255, 255)
    assert 100 < shown[40, 40] < 155


@pytest.mark.parametrize("bright", [0, 1, 10_000])
def test_where_few_values_are_all_there_is_they_count(bright: int, renderer: Renderer) -> None:
    values = np.zeros(10_000, np.int16)
    values[:bright] = 500
    wish = replace(PNG, leaves_out=0.005)
    whole, few = (seen(renderer.render(image(values.reshape(100, 100)), [0], each)) for each in (PNG, wish))
    assert np.array_equal(whole, few)


def test_eight_bits_without_a_window_mean_what_they_are(renderer: Renderer) -> None:
    values = np.arange(40, 168, dtype=np.uint8).reshape(8, 16)
    assert np.array_equal(seen(renderer.render(image(values), [0], PNG)), values)


def test_monochrome1_and_an_inverse_shape_turn_black_and_white_round(renderer: Renderer) -> None:
    values = np.arange(128, dtype=np.uint8).reshape(8, 16)
    assert np.array_equal(seen(renderer.render(image(values, "MONOCHROME1"), [0], PNG)), 255 - values)
    inverse = image(values, PresentationLUTShape=said("CS", "INVERSE"))
    assert np.array_equal(seen(renderer.render(inverse, [0], PNG)), 255 - values)


def test_padding_is_black_and_widens_no_window(renderer: Renderer) -> None:
    values = RAMP.astype(np.int16)
    values[0, :] = -2000
    shown = seen(renderer.render(image(values, PixelPaddingValue=said("US", 63536)), [0], PNG))
    assert not shown[0].any()
    assert shown[1, 0] == 0
    assert shown[-1, -1] == 255
    bright = image(values, "MONOCHROME1", PixelPaddingValue=said("SS", -2000), PixelPaddingRangeLimit=said("SS", -1990))
    assert not seen(renderer.render(bright, [0], PNG))[0].any()


def test_the_callers_window_goes_before_that_of_the_image(renderer: Renderer) -> None:
    own = image(RAMP, WindowCenter=said("DS", 10, 1000), WindowWidth=said("DS", 20, 2000))
    narrow = seen(renderer.render(own, [0], PNG))
    assert narrow[0, 30] == 255
    asked = seen(renderer.render(own, [0], replace(PNG, window=Window(1000, 2000))))
    assert 0 < asked[0, 30] < 10


@pytest.mark.parametrize("width", ["0", "-5", "nan", "inf", "", "x", None])
def test_a_window_of_the_image_that_cannot_be_is_passed_over(width: str | None, renderer: Renderer) -> None:
    odd = image(RAMP, WindowCenter=said("DS", 5, 1000), WindowWidth=said("DS", width, 2000))
    good = image(RAMP, WindowCenter=said("DS", 1000), WindowWidth=said("DS", 2000))
    assert np.array_equal(seen(renderer.render(odd, [0], PNG)), seen(renderer.render(good, [0], PNG)))


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
@given(
    values=st.lists(st.integers(0, 4095), min_size=1, max_size=50),
    center=st.floats(-1000, 5000),
    width=st.floats(1, 6000),
)
@settings(deadline=None)
def test_windows_are_those_of_pydicom(function: str, values: list[int], center: float, width: float) -> None:
    data_set = Dataset()
    data_set.PhotometricInterpretation, data_set.BitsStored, data_set.PixelRepresentation = "MONOCHROME2", 12, 0
    data_set.WindowCenter, data_set.WindowWidth = f"{center:.4f}", f"{width:.4f}"
    data_set.VOILUTFunction = function
    window = Window(float(data_set.WindowCenter), float(data_set.WindowWidth), VoiFunction(function))
    with np.errstate(over="ignore"):
        expected = apply_windowing(np.array(values, dtype=np.uint16), data_set) / 4095
    assert np.allclose(windowed(window, np.array(values, dtype=np.float64)), expected, atol=1e-9)


def test_a_modality_lut_goes_before_rescale_and_a_voi_lut_before_a_window(renderer: Renderer) -> None:
    values = np.array([[0, 1, 2, 3, 9]], dtype=np.uint16)
    table: Attributes = {
        tags.key(tags.LUTDescriptor): said("US", 4, 1, 8),
        tags.key(tags.LUTData): JsonElement(
            vr="OW", InlineBinary=base64.b64encode(pack("<4H", 5, 50, 100, 255)).decode()
        ),
    }
    lut = image(values, ModalityLUTSequence=said("SQ", table), RescaleSlope=said("DS", 1000))
    shown = seen(renderer.render(lut, [0], replace(PNG, window=Window(127.5, 255, VoiFunction.LINEAR_EXACT))))
    assert shown.tolist() == [[5, 5, 50, 100, 255]]
    voi = image(values, VOILUTSequence=said("SQ", table), WindowCenter=said("DS", 0), WindowWidth=said("DS", 1))
    assert seen(renderer.render(voi, [0], PNG)).tolist() == [[5, 5, 50, 100, 255]]


@pytest.mark.parametrize(
    "table",
    [
        {}, {"LUTDescriptor": said("US", 4, 0, 8)}, {"LUTDescriptor": said("US", 4), "LUTData": said("US", 1, 2, 3, 4)},
        {"LUTDescriptor": said("US", 4, 0, 8), "LUTData": said("US")},
        {"LUTDescriptor": said("US", 4, 0, 8), "LUTData": JsonElement(vr="OW", BulkDataURI="bulk:0,99999999999")},
    ],
)  # fmt: skip
def test_a_table_with_nothing_in_it_is_no_table(table: dict[str, JsonElement], renderer: Renderer) -> None:
    item = {tags.key(getattr(tags, keyword)): element for keyword, element in table.items()}
    odd = image(RAMP, VOILUTSequence=said("SQ", item), ModalityLUTSequence=said("SQ", item))
    assert np.array_equal(seen(renderer.render(odd, [0], PNG)), seen(renderer.render(image(RAMP), [0], PNG)))


def test_each_frame_of_an_enhanced_image_has_its_own_rescale_and_window(renderer: Renderer) -> None:
    def group(slope: float) -> Attributes:
        transform = {tags.key(tags.RescaleSlope): said("DS", slope), tags.key(tags.RescaleIntercept): said("DS", 0)}
        voi = {tags.key(tags.WindowCenter): said("DS", 127.5), tags.key(tags.WindowWidth): said("DS", 255)}
        voi |= {tags.key(tags.VOILUTFunction): said("CS", "LINEAR_EXACT")}
        return {
            tags.key(tags.PixelValueTransformationSequence): said("SQ", transform),
            tags.key(tags.FrameVOILUTSequence): said("SQ", voi),
        }

    frames = np.full((2, 4, 4), 50, dtype=np.uint16)
    enhanced = image(frames, frames=2, PerFrameFunctionalGroupsSequence=said("SQ", group(1), group(3)))
    assert seen(renderer.render(enhanced, [0], PNG))[0, 0] == 50
    assert seen(renderer.render(enhanced, [1], PNG))[0, 0] == 150


@pytest.mark.parametrize("dtype", ["<f4", "<f8"])
def test_floating_point_pixels_with_holes(dtype: str, renderer: Renderer) -> None:
    values = np.array([[-1.5, 0.0, np.nan, 1.5, np.inf, -np.inf]], dtype=dtype)
    stored = image(values.view(f"<u{values.itemsize}"))
    tag = tags.FloatPixelData if dtype == "<f4" else tags.DoubleFloatPixelData
    element = stored.attributes.pop(tags.key(tags.PixelData))
    stored.attributes[tags.key(tag)] = JsonElement(vr="OF", BulkDataURI=element.get("BulkDataURI", ""))
    assert seen(renderer.render(stored, [0], PNG)).tolist() == [[0, 128, 0, 255, 255, 0]]


def test_single_bits_that_cross_bytes_between_frames(renderer: Renderer) -> None:
    bits = np.random.default_rng(1).integers(0, 2, (3, 5, 7), dtype=np.uint8)
    packed = np.packbits(bits.ravel(), bitorder="little").tobytes()
    stored = image(bits, frames=3, BitsAllocated=said("US", 1), BitsStored=said("US", 1), HighBit=said("US", 0))
    stored = replace(stored, source=Bytes(packed), frames=FrameTable(3, Layout.NATIVE, start=0, frame_bits=35))
    for index in range(3):
        assert np.array_equal(seen(renderer.render(stored, [index], PNG)), bits[index] * 255)


def test_bytes_in_words_of_big_endian_are_turned_frame_by_frame(renderer: Renderer) -> None:
    frames = np.arange(27, dtype=np.uint8).reshape(3, 3, 3) * 9
    raw = frames.tobytes() + b"\0"
    turned = np.frombuffer(raw, dtype="<u2").astype(">u2").tobytes()
    stored = replace(image(frames, frames=3), transfer_syntax_uid=uids.EXPLICIT_VR_BIG_ENDIAN, source=Bytes(turned))
    for index in range(3):
        assert np.array_equal(seen(renderer.render(stored, [index], PNG)), frames[index])


@given(
    bits=st.sampled_from([(16, 12, 11), (16, 12, 15), (16, 16, 15), (8, 6, 5), (8, 8, 7), (32, 20, 19), (16, 10, 12)]),
    is_signed=st.booleans(),
    words=st.lists(st.integers(0, (1 << 32) - 1), min_size=4, max_size=4),
)
@settings(deadline=None)
def test_stored_values_are_cut_out_of_their_words(
    bits: tuple[int, int, int], is_signed: bool, words: list[int]
) -> None:
    allocated, stored, high = bits
    raw = np.array(words, dtype=np.uint64).astype(f"<u{allocated // 8}")
    pixels = Pixels(EXPLICIT, 2, 2, 1, allocated, stored, high, is_signed, "MONOCHROME2")
    expected = [int(word) >> (high + 1 - stored) & (1 << stored) - 1 for word in raw]
    if is_signed:
        expected = [value - (1 << stored) if value >> (stored - 1) else value for value in expected]
    assert samples_of(raw.tobytes(), 0, pixels).values().ravel().tolist() == expected


# --- color --------------------------------------------------------------------


def test_planes_and_pixels_are_the_same_picture(renderer: Renderer) -> None:
    colors = np.random.default_rng(2).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    planes = np.ascontiguousarray(np.moveaxis(colors, -1, 0))
    by_plane = replace(image(colors, "RGB", PlanarConfiguration=said("US", 1)), source=Bytes(planes.tobytes()))
    assert np.array_equal(seen(renderer.render(image(colors, "RGB"), [0], PNG)), colors)
    assert np.array_equal(seen(renderer.render(by_plane, [0], PNG)), colors)


def test_a_palette_that_is_too_short_gives_its_last_color(renderer: Renderer) -> None:
    values = np.array([[0, 1, 2, 200]], dtype=np.uint8)
    entry = JsonElement(vr="OW", InlineBinary=base64.b64encode(pack("<2H", 0, 0xFF00)).decode())
    described = said("US", 256, 0, 16)
    channels = {
        f"{color}PaletteColorLookupTable{what}": value
        for color in ("Red", "Green", "Blue")
        for what, value in (("Descriptor", described), ("Data", entry))
    }
    short = image(values, "PALETTE COLOR", also=channels)
    assert seen(renderer.render(short, [0], PNG))[0, :, 0].tolist() == [0, 255, 255, 255]
    with pytest.raises(BadInput, match="palette"):
        renderer.render(image(values, "PALETTE COLOR"), [0], PNG)


@given(st.data())
@settings(deadline=None)
def test_segmented_palettes_expand_as_pydicoms(data: st.DataObject) -> None:
    words = [0, 2, 5, 60]
    for _ in range(data.draw(st.integers(0, 4))):
        if data.draw(st.booleans()):
            values = data.draw(st.lists(st.integers(0, 65535), min_size=1, max_size=5))
            words += [0, len(values), *values]
        else:
            words += [1, data.draw(st.integers(1, 20)), data.draw(st.integers(0, 65535))]
    expected = _expand_segmented_lut(tuple(words), "<H")
    lut = Lut(len(expected), 0, 16, pack(f"<{len(words)}H", *words), is_segmented=True)
    pixels = Pixels(EXPLICIT, 1, len(expected), 1, 16, 16, 15, is_signed=False, photometric="PALETTE COLOR")
    indices = np.arange(len(expected), dtype="<u2").tobytes()
    shown = to_rgb(samples_of(indices, 0, pixels), Palette(lut, lut, lut))
    top = max(expected) > 255
    assert shown[0, :, 0].tolist() == [value >> 8 if top else value for value in expected]


@given(raw=st.binary(max_size=80), bits=st.sampled_from([8, 16]), entries=st.integers(1, 65536))
@settings(deadline=None)
def test_no_segmented_palette_runs_on(raw: bytes, bits: int, entries: int) -> None:
    lut = Lut(entries, 0, bits, raw, is_segmented=True)
    pixels = Pixels(EXPLICIT, 1, 1, 1, 16, 16, 15, is_signed=False, photometric="PALETTE COLOR")
    try:
        to_rgb(samples_of(b"\0\0", 0, pixels), Palette(lut, lut, lut))
    except BadInput:
        return


def test_tables_of_eight_bits_are_read_from_bytes_and_from_words() -> None:
    assert lut_values(Lut(4, 0, 8, bytes([1, 2, 3, 4]))).tolist() == [1, 2, 3, 4]
    assert lut_values(Lut(4, 0, 8, pack("<4H", 1, 2, 3, 4))).tolist() == [1, 2, 3, 4]
    assert lut_values(Lut(4, 0, 16, pack("<2H", 1, 2))).tolist() == [1, 2]


@pytest.mark.parametrize("photometric", ["HSV", "CMYK", "ARGB", "NONSENSE", ""])
def test_color_models_without_a_way_to_rgb_are_said_so(photometric: str, renderer: Renderer) -> None:
    colors = np.zeros((4, 4, 3), dtype=np.uint8)
    if photometric == "":
        assert seen(renderer.render(image(colors, ""), [0], PNG)).shape == (4, 4, 3)
        return
    with pytest.raises(Unsupported, match="color model"):
        renderer.render(image(colors, photometric), [0], PNG)


@pytest.mark.parametrize("icc", [IccProfile.SRGB, IccProfile.ADOBE_RGB, IccProfile.ROMM_RGB, IccProfile.YES])
@pytest.mark.parametrize("picture_format", [PictureFormat.PNG, PictureFormat.JPEG])
def test_profiles_are_embedded_and_say_the_same_colors(
    icc: IccProfile, picture_format: PictureFormat, renderer: Renderer
) -> None:
    colors = np.array([[[200, 60, 60], [60, 200, 60], [60, 60, 200], [128, 128, 128]]] * 16, dtype=np.uint8)
    colors = colors.repeat(8, axis=1)
    picture = renderer.render(image(colors, "RGB"), [0], Wish(format=picture_format, quality=100, icc=icc))
    with Image.open(io.BytesIO(picture.data)) as opened:
        profile = opened.info["icc_profile"]
        srgb = ImageCms.createProfile("sRGB")  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        back = ImageCms.profileToProfile(
            opened.convert("RGB"),
            io.BytesIO(profile),
            srgb,  # pyright: ignore[reportUnknownArgumentType]
        )
    assert back is not None
    assert np.abs(np.asarray(back)[::8, 4::8].astype(int) - colors[::8, 4::8]).max() <= 6
    plain = renderer.render(image(colors, "RGB"), [0], PNG)
    assert "icc_profile" not in Image.open(io.BytesIO(plain.data)).info


def test_a_damaged_profile_counts_as_none(renderer: Renderer) -> None:
    colors = np.full((4, 4, 3), 99, dtype=np.uint8)
    bad = JsonElement(vr="OB", InlineBinary=base64.b64encode(b"\0\0\0\x80nonsense" * 20).decode())
    odd = image(colors, "RGB", ICCProfile=bad)
    assert np.array_equal(seen(renderer.render(odd, [0], replace(PNG, icc=IccProfile.SRGB))), colors)


# --- region, size, text -------------------------------------------------------


@pytest.mark.parametrize(
    ("viewport", "size", "corners"),
    [
        (Viewport(64, 64), (64, 32), (0, 80, 160, 255)),
        (Viewport(128, 32), (64, 32), (0, 80, 160, 255)),
        (Viewport(256, 256), (256, 128), (0, 80, 160, 255)),
        (Viewport(8, 8), (8, 4), (0, 80, 160, 255)),
        (Viewport(64, 64, 32, 0, 32, 16), (64, 32), (80, 80, 80, 80)),
        (Viewport(64, 64, 0, 0, -64, 32), (64, 32), (80, 0, 255, 160)),
        (Viewport(64, 64, 0, 0, 64, -32), (64, 32), (160, 255, 0, 80)),
        (Viewport(64, 64, 0, 16), (64, 16), (160, 255, 160, 255)),
    ],
)
def test_regions_sizes_and_mirrors(
    viewport: Viewport, size: tuple[int, int], corners: tuple[int, ...], renderer: Renderer
) -> None:
    picture = renderer.render(image(SQUARES), [0], replace(PNG, viewport=viewport))
    shown = seen(picture).astype(int)
    assert (picture.width, picture.height) == size
    found = (shown[0, 0], shown[0, -1], shown[-1, 0], shown[-1, -1])
    assert max(abs(a - b) for a, b in zip(found, corners, strict=True)) <= 12


@pytest.mark.parametrize("region", [(0, 0, 65, 32), (64, 0, 1, 1), (0, 33, None, None), (63, 0, -2, 1), (1e9, 0, 1, 1)])
def test_a_region_outside_of_the_image_is_the_callers_fault(
    region: tuple[float, float, float | None, float | None], renderer: Renderer
) -> None:
    with pytest.raises(WishFault, match="viewport"):
        renderer.render(image(SQUARES), [0], replace(PNG, viewport=Viewport(64, 64, *region)))


def test_pixels_that_are_no_squares_are_made_squares(renderer: Renderer) -> None:
    tall = image(SQUARES, PixelAspectRatio=said("IS", 2, 1))
    assert (lambda p: (p.width, p.height))(renderer.render(tall, [0], PNG)) == (64, 64)
    wide = image(SQUARES, PixelSpacing=said("DS", 0.5, 1.0))
    assert (lambda p: (p.width, p.height))(renderer.render(wide, [0], PNG)) == (128, 32)
    for odd in (said("IS", 0, 0), said("IS", -1, 1), said("DS", "1e9", 1), said("IS", "x")):
        assert renderer.render(image(SQUARES, PixelAspectRatio=odd), [0], PNG).width == 64


def test_a_thumbnail_is_never_enlarged(renderer: Renderer) -> None:
    small = replace(PNG, viewport=Viewport(500, 500), is_thumbnail=True)
    assert renderer.render(image(SQUARES), [0], small).width == 64


def test_text_is_drawn_on_the_picture_and_what_the_font_lacks_is_a_square(renderer: Renderer) -> None:
    dark = np.zeros((64, 256), dtype=np.uint8)
    plain = seen(renderer.render(image(dark), [0], PNG))
    latin = seen(renderer.render(image(dark), [0], PNG, ("MÜLLER 4711",)))
    other = seen(renderer.render(image(dark), [0], PNG, ("MÜLLER 4712",)))
    strange = seen(renderer.render(image(dark), [0], PNG, ("山田 4711", "\u202eevil")))
    assert not plain.any()
    assert latin.max() == 255
    assert not np.array_equal(latin, other)
    assert strange.max() == 255
    assert drawable("Mueller 4711")[1] == "Mueller 4711"
    assert drawable("\ue123 x")[1] == "\N{WHITE SQUARE} x"
    colors = np.zeros((64, 256, 3), dtype=np.uint8)
    assert seen(renderer.render(image(colors, "RGB"), [0], PNG, ("x" * 5000,))).max() > 200


# --- files --------------------------------------------------------------------


def test_quality_is_heeded(renderer: Renderer) -> None:
    noise = np.random.default_rng(3).integers(0, 256, (64, 64), dtype=np.uint8)
    sizes = [len(renderer.render(image(noise), [0], Wish(quality=each)).data) for each in (1, 50, 100)]
    assert sizes == sorted(sizes)
    assert sizes[0] * 3 < sizes[2]


def test_a_cine_has_its_frames_and_its_time(renderer: Renderer) -> None:
    frames = np.stack([np.full((8, 8), 40 * n, dtype=np.uint8) for n in range(5)])
    cine = image(frames, frames=5, FrameTime=said("DS", 40))
    with Image.open(io.BytesIO(renderer.render(cine, range(5), Wish(format=PictureFormat.GIF)).data)) as opened:
        shown: list[int] = []
        for index in range(5):
            opened.seek(index)
            assert opened.info["duration"] == 40
            pixel = opened.convert("L").getpixel((4, 4))
            assert isinstance(pixel, int)
            shown.append(pixel)
        assert opened.info["loop"] == 0
    assert max(abs(a - b) for a, b in zip(shown, (0, 40, 80, 120, 160), strict=True)) <= 1
    with pytest.raises(WishFault, match="several frames"):
        renderer.render(cine, range(2), PNG)


def test_delays_come_from_what_the_image_says() -> None:
    def of(frames: int = 3, **more: JsonElement) -> tuple[int, ...]:
        return delays({tags.key(getattr(tags, keyword)): element for keyword, element in more.items()}, frames)

    assert of(FrameTime=said("DS", 50)) == (50,) * 3
    assert of(CineRate=said("IS", 10)) == (100,) * 3
    assert of(RecommendedDisplayFrameRate=said("IS", 25), CineRate=said("IS", 10)) == (40,) * 3
    assert of(FrameTimeVector=said("DS", 0, 30, 70)) == (30, 70, 70)
    assert of() == of(FrameTime=said("DS", "nan")) == of(FrameTime=said("DS", 0)) == (66,) * 3
    assert of(FrameTime=said("DS", 1e9)) == (10_000,) * 3
    assert of(FrameTime=said("DS", 1)) == (20,) * 3


def test_what_a_picture_hangs_on_is_nothing_of_a_patient() -> None:
    known = [tag for name, tag in vars(tags).items() if name[0].isupper() and isinstance(tag, int)]
    everything = {tags.key(tag): said("LO", "secret") for tag in known}
    nested = {tags.key(tags.PatientName): said("PN", "secret"), tags.key(tags.FrameVOILUTSequence): said("SQ", {})}
    everything[tags.key(tags.PerFrameFunctionalGroupsSequence)] = said("SQ", nested)
    kept = presentation(everything)
    assert not {tag for tag in kept if tag.startswith(("0010", "0040", "0038", "0032"))}
    assert kept[tags.key(tags.PerFrameFunctionalGroupsSequence)].get("Value") == [
        {tags.key(tags.FrameVOILUTSequence): said("SQ", {})}
    ]
