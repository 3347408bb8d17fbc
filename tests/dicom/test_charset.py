import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadglass.dicom.charset import charset_of, encode

# The examples of PS3.5 Annexes H to K.
EXAMPLES = [
    (("ISO_IR 100",), b"Buc^J\xe9r\xf4me", "Buc^Jérôme"),
    (("ISO_IR 144",), b"\xbb\xee\xda\x63\x65\xdc\xd1\x79\x70\xd3", "Люкceмбypг"),  # noqa: RUF001
    (("ISO_IR 203",), b"\xbcuvre^\xb4ofia", "Œuvre^Žofia"),
    (("ISO_IR 192",), b"Wang^XiaoDong=\xe7\x8e\x8b^\xe5\xb0\x8f\xe6\x9d\xb1=", "Wang^XiaoDong=王^小東="),
    (("GB18030",), b"Wang^XiaoDong=\xcd\xf5^\xd0\xa1\xb6\xab=", "Wang^XiaoDong=王^小东="),
    (
        ("", "ISO 2022 IR 87"),
        b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B",
        "Yamada^Tarou=山田^太郎=やまだ^たろう",
    ),
    (
        ("ISO 2022 IR 13", "ISO 2022 IR 87"),
        b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J=\x1b$B$d$^$@\x1b(J^\x1b$B$?$m$&\x1b(J",
        "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう",
    ),
    (
        ("", "ISO 2022 IR 149"),
        b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf",
        "Hong^Gildong=洪^吉洞=홍^길동",
    ),
    (
        ("", "ISO 2022 IR 58"),
        b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab=",
        "Zhang^XiaoDong=张^小东=",
    ),
    (("", "ISO 2022 IR 144"), b"A\x1b-L\xbb\xee^B", "AЛю^B"),
    (("ISO-8859-2",), b"\xa1", "Ą"),
    ((), b"plain", "plain"),
]


@pytest.mark.parametrize(("terms", "raw", "text"), EXAMPLES)
def test_each_character_set_of_the_standard_is_read(terms: tuple[str, ...], raw: bytes, text: str) -> None:
    charset, is_known = charset_of(terms)
    assert is_known
    assert charset.decode(raw, is_name=True) == text


@pytest.mark.parametrize(("terms", "raw", "text"), EXAMPLES)
def test_what_is_written_in_a_character_set_is_read_back(terms: tuple[str, ...], raw: bytes, text: str) -> None:
    encoded = encode(text, terms, is_name=True)
    assert encoded is not None
    assert charset_of(terms)[0].decode(encoded, is_name=True) == text


KATAKANA_AND_KANJI = ("ISO 2022 IR 13", "ISO 2022 IR 87")


def test_a_japanese_name_is_written_as_the_standard_has_it() -> None:
    written = encode("ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう", KATAKANA_AND_KANJI, is_name=True)  # PS3.5 section H.3.2
    assert written == bytes.fromhex(
        "D4 CF C0 DE 5E C0 DB B3 3D 1B 24 42 3B 33 45 44 1B 28 4A 5E 1B 24 42 42 40 4F 3A 1B 28 4A 3D 1B 24 42"
        "24 64 24 5E 24 40 1B 28 4A 5E 1B 24 42 24 3F 24 6D 24 26 1B 28 4A"
    )


def test_kanji_are_never_written_as_shift_jis() -> None:
    # In Shift-JIS the second byte of both is 5CH, which delimits values.
    assert encode("表^ソ", KATAKANA_AND_KANJI, is_name=True) == b"\x1b$BI=\x1b(J^\x1b$B%=\x1b(J"
    assert encode("表", ("ISO_IR 13",)) is None
    assert encode("ﾔﾏﾀﾞ\\ﾀﾛｳ", ("ISO_IR 13",)) == b"\xd4\xcf\xc0\xde\\\xc0\xdb\xb3"


@pytest.mark.parametrize("text", ["ﾔ~", "ﾔ¥", "ﾔ‾"])
@pytest.mark.parametrize("terms", [("ISO_IR 13",), KATAKANA_AND_KANJI])
def test_where_jis_x_0201_is_not_ascii_nothing_is_written_in_it(text: str, terms: tuple[str, ...]) -> None:
    assert encode(text, terms) is None


def test_a_set_of_two_bytes_in_g1_is_announced_even_where_it_is_declared_first() -> None:
    assert encode("김^희", ("ISO 2022 IR 149",), is_name=True) == b"\x1b$)C\xb1\xe8^\x1b$)C\xc8\xf1"
    assert encode("张", ("ISO_IR 58",)) is None


@pytest.mark.parametrize("first", ["", "ISO 2022 IR 6"])
def test_a_forgotten_escape_sequence_of_the_only_extension_is_thought_of(first: str) -> None:
    charset, _ = charset_of((first, "ISO 2022 IR 100"))
    assert charset.decode(b"J\xe9r\xf4me^\x1b-AJ\xe9r\xf4me", is_name=True) == "Jérôme^Jérôme"
    assert charset.decode(b"Buc^J\xe9r\xf4me", is_name=True) == "Buc^Jérôme"
    assert encode("Jé", (first, "ISO 2022 IR 100")) == b"J\x1b-A\xe9"
    of_two, _ = charset_of((first, "ISO 2022 IR 100", "ISO 2022 IR 101"))
    assert of_two.decode(b"J\xe9") == "J\ufffd"


@pytest.mark.parametrize("terms", [(), ("ISO_IR 100",), ("", "ISO 2022 IR 87"), ("", "ISO 2022 IR 149")])
def test_what_a_character_set_cannot_carry_is_not_written_in_it(terms: tuple[str, ...]) -> None:
    assert encode("Ωმ", terms) is None


def test_an_unknown_character_set_is_told_and_read_all_the_same() -> None:
    charset, is_known = charset_of(("ISO_IR 999",))
    assert not is_known
    assert charset.decode("Jérôme".encode()) == "Jérôme"
    assert charset.decode("Jérôme".encode("latin_1")) == "Jérôme"


@given(st.binary(max_size=200), st.sampled_from([terms for terms, _, _ in EXAMPLES] + [("?",), ("", "x"), ("GBK",)]))
def test_no_bytes_make_decoding_fail(raw: bytes, terms: tuple[str, ...]) -> None:
    text = charset_of(terms)[0].decode(raw, is_name=True)
    text.encode("utf_8")  # and no half surrogates come out


@given(
    st.text(st.sampled_from("abc^=\\山田太郎ァﾀ한길ЛюéŒ\r\n "), max_size=30),
    st.sampled_from([t for t, _, _ in EXAMPLES]),
)
def test_whatever_a_set_takes_comes_back_the_same(text: str, terms: tuple[str, ...]) -> None:
    encoded = encode(text, terms, is_name=True)
    if encoded is not None:
        assert charset_of(terms)[0].decode(encoded, is_name=True) == text
