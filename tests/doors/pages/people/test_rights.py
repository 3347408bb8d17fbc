"""Rights in words, and what a browser is shown where there is nothing, or nothing for it."""

import pytest

from leadglass.doors.pages.people.rights import rights_of, sees_everything
from leadglass.policy.caller import Caller, CallerKind
from leadglass.policy.roles import NEEDS_NO_IMAGES, Role, grants_of
from leadglass.policy.scope import Field, Scope
from leadglass.policy.scope_words import parse_scope
from tests.doors.pages.browser import Browser, add_person
from tests.peers.web import Web

NO_IMAGES = "You see no images with this account."


def _person(role: Role, scope: Scope | None = None) -> Caller:
    return Caller(CallerKind.PERSON, "j.doe", grants_of(role, scope), "192.0.2.1", "a password")


@pytest.mark.parametrize("role", Role)
def test_every_role_is_told_what_it_may_do_and_whether_it_sees_images(role: Role) -> None:
    said = rights_of(_person(role))
    assert said
    assert (NO_IMAGES in said) == (role in NEEDS_NO_IMAGES)


def test_rights_say_on_which_studies_and_name_no_patient() -> None:
    assert rights_of(_person(Role.RADIOLOGIST)) == ["Search, read and store: every study."]
    named = rights_of(_person(Role.REFERRER, Scope.patients("P-SECRET")))
    assert named == ["Search and read: one patient."]
    assert "name those that you need" in rights_of(_person(Role.REFERRER))[0]
    assert "without what identifies patients" in rights_of(_person(Role.RESEARCHER))[0]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["referrer=Doe^Jane"], "referred by Doe, Jane"),
        (["referrer=DOE"], "referred by Doe"),
        (["referrer=o'neil-smith^mary ann"], "referred by O'Neil-Smith, Mary Ann"),
        (["referrer=Doe^Jane", "label=neurology"], "label neurology or referred by Doe, Jane"),
    ],
)
def test_who_referred_is_named_as_people_write_names(words: list[str], said: str) -> None:
    assert rights_of(_person(Role.REFERRER, parse_scope(words))) == [f"Search and read: {said}."]


def test_an_emergency_is_offered_only_to_who_may_not_read_every_study_as_it_is() -> None:
    assert sees_everything(_person(Role.RADIOLOGIST))
    assert not sees_everything(_person(Role.RADIOLOGIST, Scope.where(Field.LABEL, "neurology")))
    assert not sees_everything(_person(Role.RESEARCHER))
    assert not sees_everything(_person(Role.ADMIN))


def test_a_browser_is_shown_a_page_wherever_it_goes_and_a_program_a_problem(web: Web) -> None:
    add_person(web, "sue", "radiologist")
    add_person(web, "ann", "admin")
    with Browser(web) as reader, Browser(web) as admin:
        reader.sign_in("sue")
        assert reader.client.get("/").headers["Location"] == "/studies"
        reader.get("/home")
        assert f"https://{web.client().base_url.netloc.decode()}/dicom-web" in reader.page
        assert "/break-glass" not in reader.page
        reader.get("/break-glass")
        assert "nothing to open" in reader.page
        for path in ("/no-such-page", "/dicom-web/studies/1.2.3/rendered"):
            assert reader.get(path).status_code == 404
            assert "There is nothing here" in reader.page
            assert "Sign out" in reader.page
            problem = reader.client.get(path, headers={"Accept": "*/*"})
            assert problem.headers["content-type"] == "application/problem+json"
        assert reader.get("/dicom-web/studies?Modality=CT").status_code == 400
        assert "Ask for ModalitiesInStudy" in reader.page
        reader.get("/break-glass/review")
        assert "ask whoever runs this archive" in reader.page
        admin.sign_in("ann")
        assert NO_IMAGES in admin.page
        assert "/dicom-web" not in admin.page
