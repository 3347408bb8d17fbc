"""Passphrases: what is refused, and that one is what a person typed."""

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leadglass.crypto.passphrase import COST, Cost, Stretch, require_good
from leadglass.errors import BadInput, Misconfigured

SMALL = Cost(memory_kib=64, passes=1, lanes=1)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "blank"),
        (" " * 30, "blank"),
        ("\u2003" * 30, "blank"),
        ("too short, but", "at least 15"),
        ("a" * 40, "repeats itself"),
        ("abcabcabcabcabcabc", "repeats itself"),
        ("tundra-tundra-tundra-", "repeats itself"),
        ("passwordpassword1234", "everybody"),
        ("Passw0rd!Hospital2026", "everybody"),
        ("leadglass-pacs-admin-2026", "everybody"),
        ("qwertyuiopasdfghjkl", "everybody"),
        ("123456789012345678", "everybody"),
        ("correct horse battery staple\x00", "control characters"),
        ("kiln walrus\ttundra quince", "control characters"),
        ("w" + "xy z" * 400, "at most"),
    ],
)
def test_what_would_be_guessed_is_refused_with_what_would_be_better(text: str, said: str) -> None:
    with pytest.raises(BadInput, match=said) as refused:
        require_good(text)
    assert "words" in refused.value.message
    assert not text.strip() or text not in refused.value.message


@pytest.mark.parametrize(
    "text",
    [
        "kiln walrus tundra quince orbit",
        "Orbit-kiln-7 walrus",
        "mühle galgen otter zwirn",
        "鍵 山 川 雲 空 海 森 林 火 土 金 木 水 日 月",
    ],
)
def test_what_nobody_guesses_is_taken(text: str) -> None:
    assert require_good(text) == unicodedata.normalize("NFC", text)


@given(st.text(alphabet=st.characters(categories=("L", "N", "Zs")), min_size=1, max_size=40))
@settings(max_examples=50)
def test_the_same_text_in_another_form_is_the_same_passphrase(text: str) -> None:
    stretch = Stretch(b"s" * 16, SMALL)
    assert stretch.key(unicodedata.normalize("NFD", text)) == stretch.key(unicodedata.normalize("NFC", text))


def test_each_salt_gives_another_key() -> None:
    assert Stretch.new(SMALL).key("a") != Stretch.new(SMALL).key("a")


def test_a_guess_costs_at_least_64_mib() -> None:
    assert COST.memory_kib >= 64 * 1024
    assert COST.passes >= 3


@pytest.mark.parametrize(
    ("memory", "passes", "lanes"), [(2**40, 1, 1), (7, 1, 1), (64, 0, 1), (64, 1, 0), (64, 101, 1), (2**22, 1, 65)]
)
def test_a_cost_out_of_bounds_is_refused_before_it_costs(memory: int, passes: int, lanes: int) -> None:
    with pytest.raises(Misconfigured):
        Cost(memory, passes, lanes)
