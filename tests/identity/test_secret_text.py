"""Secrets that are only to be recognised."""

from hypothesis import given
from hypothesis import strategies as st

from leadglass.identity import secret_text


def test_a_secret_fits_into_a_fragment_and_no_two_are_alike() -> None:
    made = {secret_text.make() for _ in range(50)}
    assert len(made) == 50
    assert all(len(each) == 43 and each.replace("-", "").replace("_", "").isalnum() for each in made)


@given(shown=st.text(st.characters(exclude_categories=()), max_size=100))
def test_whatever_is_shown_has_a_digest_which_is_another_for_another_purpose(shown: str) -> None:
    assert len(secret_text.digest("session", shown)) == 32
    assert secret_text.digest("session", shown) != secret_text.digest("link", shown)
