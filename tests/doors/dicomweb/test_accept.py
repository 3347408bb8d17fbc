import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from leadglass.doors.dicomweb.accept import (
    ANYTHING,
    NotAcceptable,
    Offer,
    Wanted,
    accept_of,
    choose,
    parse_accept,
)
from leadglass.errors import BadInput

EXPLICIT = "1.2.840.10008.1.2.1"
JPEG_LS = "1.2.840.10008.1.2.4.80"
RLE = "1.2.840.10008.1.2.5"

OFFERS = (
    Offer("application/octet-stream", is_related=True, transfer_syntax=EXPLICIT),
    Offer("image/jls", is_related=True, transfer_syntax=JPEG_LS, is_stored=True),
    Offer("image/dicom-rle", is_related=True, transfer_syntax=RLE),
    Offer("application/octet-stream", is_related=False, transfer_syntax=EXPLICIT),
)


def test_of_several_that_are_named_and_liked_alike_the_stored_one_is_given() -> None:
    listed = [f'multipart/related; type="{each.media}"; transfer-syntax={each.transfer_syntax}' for each in OFFERS[:3]]
    assert choose(parse_accept(", ".join(listed)), OFFERS) is OFFERS[1]
    assert choose(parse_accept(", ".join([listed[0], listed[2]])), OFFERS) is OFFERS[0]
    weighted = f"{listed[0]}, {listed[1]}; q=0.5"
    assert choose(parse_accept(weighted), OFFERS) is OFFERS[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ANYTHING),
        ("*/*", ANYTHING),
        ("application/dicom", (Wanted("application/dicom", is_related=False),)),
        ("Application/DICOM+json ;q=0.5", (Wanted("application/dicom+json", is_related=False, q=0.5),)),
        ("multipart/related", (Wanted("*/*", is_related=True),)),
        (
            'multipart/related; type="application/dicom"; transfer-syntax=*',
            (Wanted("application/dicom", is_related=True, transfer_syntax="*"),),
        ),
        (
            f'multipart/related;type=image/jls;transfer-syntax="{JPEG_LS}";q=0.8 , image/*;q=0',
            (
                Wanted("image/jls", is_related=True, transfer_syntax=JPEG_LS, q=0.8),
                Wanted("image/*", is_related=False, q=0.0),
            ),
        ),
        ('text/html;note="a,b;c\\"d", */*;q=0.1', (Wanted("text/html", is_related=False), Wanted("*/*", None, q=0.1))),
        (", ,application/dicom,,", (Wanted("application/dicom", is_related=False),)),
    ],
)
def test_an_accept_header_is_read(text: str, expected: tuple[Wanted, ...]) -> None:
    assert parse_accept(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "dicom",
        "a/b/c",
        "*/dicom",
        "/",
        "application/",
        'multipart/related; type="application/dicom',
        "application/dicom; q=2",
        "application/dicom; q=1.5",
        "application/dicom; q=-1",
        "application/dicom; q=0.1234",
        "application/dicom; q=nan",
        "application/dicom; transfer-syntax=../../etc/passwd",
        "application/dicom; transfer-syntax=",
        "multipart/related; type=x",
        "a/b," * 10_000,
        "a/b," * 101,
        "application/dicom; x=" + "1" * 10_000,
    ],
)
def test_what_is_no_list_of_media_ranges_is_refused(text: str) -> None:
    with pytest.raises(BadInput):
        parse_accept(text)


def test_a_query_parameter_stands_in_for_the_header_and_its_plus_may_have_become_a_space() -> None:
    asked = Request(
        {"type": "http", "headers": [(b"accept", b"text/html")], "query_string": b"accept=application/dicom+json"}
    )
    assert accept_of(asked) == (Wanted("application/dicom+json", is_related=False),)
    assert accept_of(Request({"type": "http", "headers": [], "query_string": b""})) == ANYTHING


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", 0),
        ("*/*", 0),
        ("*/*; transfer-syntax=*", 1),
        ("multipart/related; type=application/octet-stream", 0),
        ("application/octet-stream", 3),
        ("multipart/related; type=image/jls", 1),
        ("multipart/related; type=image/*; transfer-syntax=*", 1),
        (f"multipart/related; type=image/*; transfer-syntax={RLE}", 2),
        (f"multipart/related; type=*/*; transfer-syntax={RLE};q=0.9, application/octet-stream;q=0.8", 2),
        (f"multipart/related; transfer-syntax={RLE};q=0.2, multipart/related; transfer-syntax={JPEG_LS};q=0.3", 1),
        ("multipart/related; type=image/jls;q=0, multipart/related; type=image/*", 2),
        ("*/*;transfer-syntax=*, multipart/related; type=image/jls; transfer-syntax=*;q=0", 0),
    ],
)
def test_the_offer_the_client_likes_best_is_chosen(text: str, expected: int) -> None:
    assert choose(parse_accept(text), OFFERS) is OFFERS[expected]


@pytest.mark.parametrize("text", ["image/jls", "text/html", "*/*;q=0", "multipart/related; type=video/mp4"])
def test_where_nothing_can_be_given_the_refusal_says_what_could_be(text: str) -> None:
    with pytest.raises(NotAcceptable, match="image/dicom-rle"):
        choose(parse_accept(text), OFFERS)


media = st.sampled_from(["*/*", "image/*", "image/jls", "image/dicom-rle", "application/octet-stream", "text/html"])
ranges = st.lists(
    st.builds(
        Wanted,
        media=media,
        is_related=st.sampled_from([True, False, None]),
        transfer_syntax=st.sampled_from(["", "*", EXPLICIT, JPEG_LS, RLE]),
        q=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
    ),
    min_size=1,
    max_size=6,
)


@given(ranges)
def test_whatever_is_chosen_was_accepted_and_a_refusal_means_that_nothing_was(wanted: list[Wanted]) -> None:
    def is_named(offer: Offer) -> bool:
        return any(
            each.q > 0
            and (each.is_related is None or each.is_related == offer.is_related)
            and (each.media in ("*/*", offer.media) or each.media == offer.media.split("/")[0] + "/*")
            and each.transfer_syntax in ("", "*", offer.transfer_syntax)
            for each in wanted
        )

    try:
        chosen = choose(wanted, OFFERS)
    except NotAcceptable:
        refused = [each for each in wanted if not each.q]
        assert refused or not any(is_named(offer) for offer in OFFERS)
    else:
        assert is_named(chosen)


@given(st.text(max_size=300) | st.text(alphabet='*/;,="\\ aq01.', max_size=300))
def test_no_text_breaks_the_parser(text: str) -> None:
    try:
        found = parse_accept(text)
    except BadInput:
        return
    assert all(0 <= each.q <= 1 for each in found)
