"""Character sets: bytes of a text value to ``str`` and back (PS3.3 C.12.1.1.2, PS3.5 section 6.1).

Rule: decoding never raises. What is not a character in the declared set becomes
U+FFFD, and a set that is not known is read as UTF-8 where it is that, else as
Latin-1.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

_BY_NUMBER: Final = {
    6: "ascii", 100: "latin_1", 101: "iso8859_2", 109: "iso8859_3", 110: "iso8859_4", 126: "iso8859_7",
    127: "iso8859_6", 138: "iso8859_8", 144: "iso8859_5", 148: "iso8859_9", 203: "iso8859_15",
    166: "iso8859_11", 13: "shift_jis", 192: "utf_8", 87: "iso2022_jp", 159: "iso2022_jp_2", 149: "euc_kr",
    58: "gb2312",
}  # fmt: skip
"""Python's codec for the number in a defined term: ISO_IR 100, ISO 2022 IR 100."""

_ESCAPES: Final = {
    b"(B": (0, "ascii"), b"(J": (0, "shift_jis"), b")I": (1, "shift_jis"),
    b"-A": (1, "latin_1"), b"-B": (1, "iso8859_2"), b"-C": (1, "iso8859_3"), b"-D": (1, "iso8859_4"),
    b"-F": (1, "iso8859_7"), b"-G": (1, "iso8859_6"), b"-H": (1, "iso8859_8"), b"-L": (1, "iso8859_5"),
    b"-M": (1, "iso8859_9"), b"-T": (1, "iso8859_11"), b"-b": (1, "iso8859_15"),
    b"$B": (0, "iso2022_jp"), b"$@": (0, "iso2022_jp"), b"$(D": (0, "iso2022_jp_2"),
    b"$)C": (1, "euc_kr"), b"$)A": (1, "gb2312"),
}  # fmt: skip
"""What an escape sequence puts into G0 or G1 (PS3.3 Tables C.12-3 and C.12-4)."""

_PAIRS: Final = {"iso2022_jp": b"\x1b$B", "iso2022_jp_2": b"\x1b$(D"}
"""Sets of two bytes in G0, with the escape sequence that Python's codec wants to see."""

_ANNOUNCED: Final = frozenset({"euc_kr", "gb2312"})
"""Sets of two bytes in G1, where they stand only after their escape sequence (PS3.5 section 6.1.2.5.1)."""

_KATAKANA: Final = 0xA1
"""First byte of JIS X 0201's katakana, in G1. Its G0 differs from ASCII in 5CH (yen sign) and 7EH (overline)."""

_ESCAPE = re.compile(rb"\x1b(\$[()][@-~]|\$[@-~]|[()\-.][@-~])")
_NUMBER = re.compile(r"(?:IR|8859)[ _-]*(\d{1,3})")
_RUNS = re.compile(rb"[\x21-\x7e]+|[\x80-\xff]+|[\x00-\x20\x7f]+")
_DELIMITERS = re.compile(rb"([\\\r\n\f\t])")
_NAME_DELIMITERS = re.compile(rb"([\\^=\r\n\f\t])")


@dataclass(frozen=True, slots=True)
class Charset:
    """A Specific Character Set, ready to decode.

    Parameters
    ----------
    codec : str
        Python's codec for text before any escape sequence; empty where the
        declared set is not known, or none is declared.
    has_extensions : bool
        Whether escape sequences may change the set (ISO 2022).
    assumed : str
        Python's codec for what stands in G1 though no escape sequence put
        anything there; empty where that cannot be told.
    """

    codec: str = ""
    has_extensions: bool = False
    assumed: str = ""

    def decode(self, raw: bytes, *, is_name: bool = False) -> str:
        """Give the text of a value; never raises.

        Parameters
        ----------
        raw : bytes
            The value as encoded, all its values and delimiters.
        is_name : bool
            Whether ``^`` and ``=`` delimit too (VR PN).
        """
        if b"\x1b" in raw and (self.has_extensions or self.codec in ("", "shift_jis")):
            return self._decode_extended(raw, _NAME_DELIMITERS if is_name else _DELIMITERS)
        if self.codec:
            return raw.decode(self.assumed or self.codec, "replace")
        return _guess(raw)

    def _decode_extended(self, raw: bytes, delimiters: re.Pattern[bytes]) -> str:
        """Follow ISO 2022: an escape sequence changes G0 or G1 until the next one, or a delimiter."""
        first = self.codec or "ascii"
        g0, g1 = "ascii", self.assumed or first
        text: list[str] = []
        position = 0
        for escape in _ESCAPE.finditer(raw):
            piece, g0, g1 = _decode_piece(raw[position : escape.start()], g0, g1, first, delimiters)
            text.append(piece)
            which, codec = _ESCAPES.get(escape[1], (0, g0))
            g0, g1 = (codec, g1) if which == 0 else (g0, codec)
            position = escape.end()
        text.append(_decode_piece(raw[position:], g0, g1, first, delimiters)[0])
        return "".join(text).replace("\x1b", "\ufffd")


def _guess(raw: bytes) -> str:
    try:
        return raw.decode("utf_8")
    except UnicodeDecodeError:
        return raw.decode("latin_1")


def _decode_piece(raw: bytes, g0: str, g1: str, first: str, delimiters: re.Pattern[bytes]) -> tuple[str, str, str]:
    """Decode what stands between two escape sequences; gives the text and what G0 and G1 are after it."""
    text: list[str] = []
    if g0 in _PAIRS:
        for run in _RUNS.findall(raw):
            if run[0] > 0x7F:
                text.append(run.decode(g1 if g1 != "ascii" else "shift_jis", "replace"))
            elif run[0] <= 0x20:
                text.append(run.decode("ascii", "replace"))
                g0 = g0 if run.strip(b"\r\n\f\t") == run else "ascii"
            elif g0 in _PAIRS:
                text.append((_PAIRS[g0] + run).decode(g0, "replace"))
            else:
                text.append(run.decode("ascii", "replace"))
        return "".join(text), g0, g1
    for part in delimiters.split(raw):
        if delimiters.fullmatch(part):
            text.append(part.decode("ascii"))
            g0, g1 = "ascii", first if first != "ascii" else g1
        else:
            text.append(part.decode(g1 if g1 != "ascii" else g0, "replace"))
    return "".join(text), g0, g1


def _codec(term: str) -> str | None:
    """Give Python's codec for a defined term, also for the misspellings that devices write."""
    upper = term.strip(" \0").upper()
    if upper in ("GB18030", "GBK"):
        return upper.lower()
    if upper in ("UTF-8", "UTF8", "ISO 10646"):
        return "utf_8"
    found = _NUMBER.search(upper)
    if found is None:
        return None
    number = int(found[1])
    if "8859" in upper:
        return f"iso8859_{number}" if 1 <= number <= 16 and number != 12 else None
    return _BY_NUMBER.get(number)


@lru_cache(maxsize=256)
def _known(terms: tuple[str, ...]) -> tuple[Charset, bool]:
    codecs = [_codec(term) if term.strip(" \0") else "ascii" for term in terms]
    first = codecs[0] if codecs else ""
    extended = any("2022" in term for term in terms) or len(terms) > 1
    if first in ("utf_8", "gb18030", "gbk"):
        return Charset(first), all(codecs)
    if first in _PAIRS:
        first = "ascii"
    elif first == "ascii":
        first = "" if not extended else "ascii"
    return Charset(first or "", extended, _assumed(codecs)), all(codec is not None for codec in codecs)


def _assumed(codecs: list[str | None]) -> str:
    """Give the one set of single bytes that extends ASCII, since devices forget its escape sequence."""
    match codecs:
        case ["ascii", str(codec)] if codec in ("latin_1", "shift_jis") or codec.startswith("iso8859_"):
            return codec
        case _:
            return ""


def charset_of(terms: tuple[str, ...]) -> tuple[Charset, bool]:
    """Give the character set that values of (0008,0005) declare, and whether all of them are known.

    Parameters
    ----------
    terms : tuple of str
        The values; none for the default repertoire.
    """
    if len(terms) > 16 or any(len(term) > 64 for term in terms):
        return Charset(), False
    return _known(terms)


def encode(text: str, terms: tuple[str, ...], *, is_name: bool = False) -> bytes | None:
    """Give ``text`` in the character set that ``terms`` declare; None when that set cannot carry it.

    Parameters
    ----------
    text : str
        The whole value, delimiters and all.
    terms : tuple of str
        Values of Specific Character Set (0008,0005).
    is_name : bool
        Whether ``^`` and ``=`` delimit too (VR PN).
    """
    charset, is_known = charset_of(terms)
    if not is_known:
        return None
    first = "ascii" if charset.codec in _ANNOUNCED else charset.codec or "ascii"
    try:
        return _plain(text, first)
    except UnicodeEncodeError:
        if not charset.has_extensions:
            return None
    delimiters = "\\^=\r\n\f\t" if is_name else "\\\r\n\f\t"
    return _encode_extended(text, first, terms, delimiters)


def _plain(text: str, codec: str) -> bytes:
    """Encode without escape sequences; Python's ``shift_jis`` is JIS X 0201 only as far as ``_bare`` lets it."""
    if codec != "shift_jis":
        return text.encode(codec)
    return b"".join(_bare(character, codec) for character in text)


def _escapes_of(terms: tuple[str, ...]) -> list[tuple[bytes, str]]:
    """Give the escape sequences, with their codecs, that ``terms`` allow, in the order declared."""
    allowed: list[tuple[bytes, str]] = []
    for term in terms:
        codec = _codec(term)
        found = [(b"\x1b" + escape, name) for escape, (_, name) in _ESCAPES.items() if name == codec]
        allowed.extend(pair for pair in found if pair[0] not in (b"\x1b$@", b"\x1b(B", b"\x1b(J"))
    return allowed


def _encode_extended(text: str, first: str, terms: tuple[str, ...], delimiters: str) -> bytes | None:
    """Write ISO 2022: each run of characters in the first declared set that has them, G0 as it was at delimiters."""
    allowed = _escapes_of(terms)
    back = b"\x1b(J" if first == "shift_jis" else b"\x1b(B"
    written = bytearray()
    current: tuple[bytes, str] | None = None
    for character in text:
        if character.isascii() or _fits(character, first):
            if current is not None and current[1] in _PAIRS:
                written += back
                current = None
            if character in delimiters:
                current = None
            if character.isascii():
                if not _fits(character, first):
                    return None
                written += character.encode("ascii")
                continue
        if _fits(character, first):
            if current is not None:
                return None  # back to the first set's G1 needs its own escape sequence; Unicode is safer
            written += character.encode(first)
            continue
        choice = next((pair for pair in allowed if _fits(character, pair[1])), None)
        if choice is None:
            return None
        if choice != current:
            written += choice[0]
            current = choice
        written += _bare(character, choice[1])
    if current is not None and current[1] in _PAIRS:
        written += back
    return bytes(written)


def _fits(character: str, codec: str) -> bool:
    try:
        return bool(_bare(character, codec))
    except UnicodeEncodeError:
        return False


def _bare(character: str, codec: str) -> bytes:
    """Give a character's bytes without the escape sequences that Python's codec puts around them."""
    encoded = character.encode(codec)
    if codec in _PAIRS:
        if not encoded.startswith(_PAIRS[codec]):
            raise UnicodeEncodeError(codec, character, 0, 1, "not in this set")
        return encoded[len(_PAIRS[codec]) : -3]
    if codec == "shift_jis" and not _is_jis_roman(character) and (len(encoded) != 1 or encoded[0] < _KATAKANA):
        raise UnicodeEncodeError(codec, character, 0, 1, "not in JIS X 0201")
    return encoded


def _is_jis_roman(character: str) -> bool:
    """Say whether JIS X 0201 has an ASCII character where ASCII has it, or it is 5CH, which delimits values.

    The yen sign is 5CH there, and so cannot stand in a value.
    """
    return character.isascii() and character != "~"
