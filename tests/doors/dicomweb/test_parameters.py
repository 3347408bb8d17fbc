"""Query parameters of resources that have a few of their own."""

import pytest

from leadglass.doors.dicomweb.parameters import once
from leadglass.errors import BadInput

KNOWN = ("since", "limit")


def test_what_is_known_and_said_once_is_given() -> None:
    assert once([("limit", "5"), ("since", "")], KNOWN) == {"limit": "5", "since": ""}


def test_accept_is_left_to_who_reads_it_unless_it_is_one_of_them() -> None:
    said = [("accept", "a/b"), ("accept", "c/d")]
    assert once(said, KNOWN) == {}
    with pytest.raises(BadInput, match=r"^accept: given more than once"):
        once(said, ("accept",))


@pytest.mark.parametrize("name", ["Limit", "offset"])
def test_what_is_unknown_is_refused_by_its_name_and_its_value_is_not_repeated(name: str) -> None:
    with pytest.raises(BadInput, match=f"^{name}: .* Known: since, limit") as refused:
        once([(name, "DOE^JANE")], KNOWN)
    assert "DOE" not in refused.value.message


@pytest.mark.parametrize("name", ["", "<script>", "a b", "x" * 33, "Größe"])
def test_a_name_that_may_be_anything_is_not_repeated(name: str) -> None:
    with pytest.raises(BadInput, match=r"^A parameter: "):
        once([(name, "1")], KNOWN)
