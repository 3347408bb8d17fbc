"""What each kind of error is called on the web: all of them, and none with a reason that is not for who asks."""

import json
from http import HTTPStatus

import pytest

from leadglass import errors
from leadglass.doors.web.problem import FAULT, MEDIA_TYPE, NAMESPACE, TABLE, UNIDENTIFIED, HttpFault, plain, problem_of
from leadglass.errors import Kind, LeadglassError, Throttled

SECRET = "DOE^JANE is in /srv/leadglass/index.db"

KINDS = {
    error.kind: error
    for error in vars(errors).values()
    if isinstance(error, type) and issubclass(error, LeadglassError) and LeadglassError in error.__bases__
}


def _made(kind: Kind) -> LeadglassError:
    return Throttled(SECRET, 1.5) if kind is Kind.THROTTLED else KINDS[kind](SECRET)


@pytest.mark.parametrize("kind", list(Kind))
def test_every_kind_has_an_answer_by_rfc_9457(kind: Kind) -> None:
    problem = problem_of(_made(kind))
    response = problem.response()
    said = json.loads(bytes(response.body))
    assert response.media_type == MEDIA_TYPE
    assert said["status"] == response.status_code == int(TABLE[kind].status)
    assert 400 <= said["status"] < 600
    assert said["type"].startswith(NAMESPACE)
    assert said["title"]
    assert set(said) <= {"type", "title", "status", "detail"}


def test_the_types_of_problems_differ() -> None:
    slugs = [answer.slug for answer in (*TABLE.values(), UNIDENTIFIED, FAULT)]
    assert len(set(slugs)) == len(slugs)


@pytest.mark.parametrize("kind", [Kind.DENIED, Kind.NOT_HERE, Kind.CORRUPT, Kind.MISCONFIGURED, Kind.FULL])
def test_why_it_was_refused_and_what_is_wrong_inside_stay_here(kind: Kind) -> None:
    assert SECRET not in problem_of(_made(kind)).body().decode()


@pytest.mark.parametrize("kind", [Kind.BAD_INPUT, Kind.CONFLICT, Kind.BUSY, Kind.THROTTLED, Kind.UNSUPPORTED])
def test_what_who_asks_can_mend_is_told(kind: Kind) -> None:
    assert json.loads(problem_of(_made(kind)).body())["detail"] == SECRET


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.2, "1"), (1.5, "2"), (60.0, "60"), (1e9, "86400"), (float("inf"), "")]
)
def test_who_was_given_enough_is_told_when_to_come_back(seconds: float, said: str) -> None:
    assert problem_of(Throttled("enough", seconds)).headers.get("Retry-After", "") == said


def test_what_only_http_tells_apart_has_its_own_status() -> None:
    problem = problem_of(HttpFault(HTTPStatus.NOT_ACCEPTABLE, "Ask for DICOM.", {"Vary": "Accept"}))
    assert problem.status == 406
    assert problem.headers["Vary"] == "Accept"
    assert json.loads(problem.body())["type"] == "urn:leadglass:problem:not-acceptable"


def test_a_plain_problem_says_nothing_but_its_name() -> None:
    assert set(json.loads(plain(UNIDENTIFIED).body())) == {"type", "title", "status"}
