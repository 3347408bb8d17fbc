from itertools import product

import pytest

from leadglass.archive.backroom import NotAsDeclared, NotTakenIn
from leadglass.doors.dimse.status import COMMENT_LENGTH, TABLES, Service, Status, comment, comment_of, status_of
from leadglass.errors import (
    BadInput,
    Busy,
    Conflict,
    Corrupt,
    Denied,
    Full,
    Kind,
    LeadglassError,
    Misconfigured,
    NotHere,
    Unsupported,
)

ERRORS: tuple[type[LeadglassError], ...] = (
    BadInput, Busy, Conflict, Corrupt, Denied, Full, Misconfigured, NotHere, Unsupported,
)  # fmt: skip


def test_every_service_answers_every_kind_of_error() -> None:
    for service, kind in product(Service, Kind):
        assert kind in TABLES[service]


@pytest.mark.parametrize("service", Service)
@pytest.mark.parametrize("error", ERRORS)
def test_no_error_is_answered_with_a_success_a_warning_or_a_pending(
    service: Service, error: type[LeadglassError]
) -> None:
    status = status_of(service, error("It went wrong."))
    assert status not in {Status.SUCCESS, Status.CANCEL, Status.PENDING, Status.PENDING_OPTIONAL_KEYS}
    assert status >> 12 != 0xB


@pytest.mark.parametrize("service", Service)
def test_a_refusal_is_called_not_authorized_in_every_service_and_gives_no_reason(service: Service) -> None:
    error = Denied("device:CT1 is not granted find.")
    assert status_of(service, error) == 0x0124
    assert comment_of(error) == "Not authorized."


def test_only_an_instance_that_is_not_what_was_declared_does_not_match_its_sop_class() -> None:
    assert status_of(Service.STORE, NotAsDeclared("The SOP Class UID is another.")) == 0xA900
    assert status_of(Service.STORE, NotTakenIn()) == 0x0122
    assert status_of(Service.STORE, BadInput("The data set ends in an element.")) == 0xC000


def test_an_error_comment_fits_into_an_lo_of_the_default_repertoire() -> None:
    made = comment("Zu groß: \\" + "x" * 100 + "\r\n")
    assert len(made) <= COMMENT_LENGTH
    assert made.isascii()
    assert made.isprintable()
    assert "\\" not in made
