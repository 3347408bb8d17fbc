"""How one-time links are written."""

from datetime import UTC, datetime

from leadglass.doors.links import path_of
from leadglass.identity.onetime import Link, Purpose


def test_a_link_carries_its_secret_in_the_fragment_alone() -> None:
    link = Link("jane", Purpose.SET_UP, datetime(2026, 1, 1, tzinfo=UTC), "s3cret")
    assert path_of(link).split("#") == ["/set-up", "s3cret"]
