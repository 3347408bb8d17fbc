import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadglass.dicom.render_model import IccProfile, Viewport, VoiFunction, Window
from leadglass.doors.dicomweb.rendered_query import (
    LARGEST_SIDE,
    THUMBNAIL,
    Annotation,
    RenderQuery,
    parse_rendered,
    parse_thumbnail,
)
from leadglass.errors import BadInput


def test_nothing_said_is_the_image_as_it_is() -> None:
    assert parse_rendered([]) == RenderQuery()
    assert parse_rendered([("accept", "image/png"), ("accept", "image/jpeg")]) == RenderQuery()
    assert parse_thumbnail([]) == THUMBNAIL


@pytest.mark.parametrize(
    ("text", "viewport"),
    [
        ("512,512", Viewport(512, 512)),
        ("1,8192", Viewport(1, 8192)),
        ("512,256,0,0,64,32", Viewport(512, 256, 0, 0, 64, 32)),
        ("512,256,10.5,3,,", Viewport(512, 256, 10.5, 3)),
        ("512,256,,,-64,-32.5", Viewport(512, 256, 0, 0, -64, -32.5)),
    ],
)
def test_viewports(text: str, viewport: Viewport) -> None:
    assert parse_rendered([("viewport", text)]).viewport == viewport


@pytest.mark.parametrize(
    ("text", "window"),
    [
        ("40,400", Window(40, 400)),
        ("40,400,linear", Window(40, 400)),
        ("40,400,LINEAR", Window(40, 400)),
        ("-12.5,0.5,linear-exact", Window(-12.5, 0.5, VoiFunction.LINEAR_EXACT)),
        ("1e3,2e-3,LINEAR_EXACT", Window(1000, 0.002, VoiFunction.LINEAR_EXACT)),
        ("40,400,sigmoid", Window(40, 400, VoiFunction.SIGMOID)),
    ],
)
def test_windows(text: str, window: Window) -> None:
    assert parse_rendered([("window", text)]).window == window


def test_the_rest() -> None:
    query = parse_rendered([("quality", "7"), ("annotation", "patient,technique"), ("iccprofile", "rommrgb")])
    assert (query.quality, query.icc, query.annotations) == (7, IccProfile.ROMM_RGB, frozenset(Annotation))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("viewport", text) for text in (
            "", "512", "512,", "0,512", "-5,5", f"{LARGEST_SIDE + 1},5", "99999999999999999999,5", "5,5,1", "5,5,1,1,1",
            "5,5,1,1,1,1,1", "5,5,-1,,,", "5,5,,,0,", "5,5,,,,0.0", "5,5,nan,,,", "5,5,,,inf,", "5.5,5", " 5,5",
            "5,5,1e3,,,",             "\u0665,\u0665", "+5,5",
        )),
        *(("window", text) for text in (
            "", "40", "40,", "40,0", "40,-1", "40,0.9", "40,nan", "nan,40", "inf,40", "1e400,40", "40,1e400", "40,400,",
            "40,400,cubic", "40,0,sigmoid", "40,-2,linear-exact", "40,400,linear,1", "4 0,400", "0x10,5",
            "40,1e-999,sigmoid",
        )),
        *(("quality", text) for text in ("", "0", "101", "-1", "1.5", "1e1", "\u0665", " 5")),
        *(("annotation", text) for text in ("", "patient,patient", "patient,", "name", "PATIENT")),
        *(("iccprofile", text) for text in ("", "SRGB", "cmyk")),
        ("window ", "40,400"), ("", ""), ("charset", "utf-8"), ("x" * 5000, ""), ("<b>", "1"),
    ],
)  # fmt: skip
def test_what_is_not_well_formed_is_refused_by_its_name_and_not_repeated(name: str, value: str) -> None:
    with pytest.raises(BadInput) as refused:
        parse_rendered([(name, value)])
    message = refused.value.message
    known = ("viewport", "window", "quality", "annotation", "iccprofile")
    assert message.startswith((f"{name}:", "A parameter:")) if name not in known else message.startswith(f"{name}:")
    assert len(message) < 200
    assert "<b>" not in message


@pytest.mark.parametrize("name", ["viewport", "window", "quality", "annotation", "iccprofile"])
def test_a_parameter_said_twice_is_refused(name: str) -> None:
    good = {"viewport": "5,5", "window": "1,2", "quality": "5", "annotation": "patient", "iccprofile": "yes"}[name]
    with pytest.raises(BadInput, match=f"^{name}: given more than once"):
        parse_rendered([(name, good), (name, good)])


@pytest.mark.parametrize(
    "items",
    [
        [("window", "40,400")], [("quality", "5")], [("annotation", "patient")],
        [("viewport", "5,5,0,0,1,1")], [("viewport", "5")], [("viewport", "5,5"), ("viewport", "5,5")],
    ],
)  # fmt: skip
def test_a_thumbnail_takes_a_size_and_nothing_else(items: list[tuple[str, str]]) -> None:
    assert parse_thumbnail([("viewport", "64,32")]) == Viewport(64, 32)
    with pytest.raises(BadInput):
        parse_thumbnail(items)


_NAMES = st.sampled_from(["viewport", "window", "quality", "annotation", "iccprofile"]) | st.text(max_size=20)
_VALUES = st.text(alphabet="0123456789.,-+einfatLINERXCTSGMOD_ ", max_size=40) | st.text(max_size=40)


@given(st.lists(st.tuples(_NAMES, _VALUES), max_size=6))
def test_whatever_is_sent_is_a_sane_wish_or_refused(items: list[tuple[str, str]]) -> None:
    try:
        query = parse_rendered(items)
    except BadInput:
        return
    assert 1 <= query.quality <= 100
    if query.viewport is not None:
        assert 1 <= query.viewport.width <= LARGEST_SIDE
        assert 1 <= query.viewport.height <= LARGEST_SIDE
        assert query.viewport.x >= 0
    if query.window is not None:
        assert 0 < query.window.width < float("inf")
        assert abs(query.window.center) < float("inf")
