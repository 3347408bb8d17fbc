"""The page of people: what the command line can do, a browser can; and nobody does more than they may."""

import html
import re

import pytest

from leadglass.app import App
from leadglass.audit.event import Outcome
from tests.doors.pages.browser import BETTER, GOOD, Browser, add_person, records
from tests.peers.web import Web

ONE = "/people/account/{}"


def _person(web: Web, name: str) -> tuple[str, bool]:
    with App().open(web.leadglass.data) as opened:
        person = opened.open_people().people.get(name)
        return person.role.value, person.is_locked


def test_a_person_is_added_by_a_link_that_is_shown_once_and_chooses_a_password(web: Web) -> None:
    add_person(web, "chief.of.adding", "admin")
    with Browser(web) as browser, Browser(web) as theirs:
        browser.sign_in("chief.of.adding")
        browser.get("/people/new")
        browser.send("/people", name="new.reader", role="radiologist", scope="label=neurology\nsource=CT1")
        assert browser.status == 200, browser.alert
        found = re.search(r'id="link" value="([^"]+)"', browser.page)
        assert found
        link = html.unescape(found[1])
        assert link.startswith(f"{web.url}/set-up#")
        assert "new.reader" in browser.page
        assert 'role="img"' in browser.page
        secret = link.partition("#")[2]
        theirs.get("/set-up")
        theirs.send("/set-up", secret=secret, password=BETTER, again=BETTER)
        assert 'id="finder"' in theirs.page, "who may find studies begins with them"
        assert theirs.is_in
        browser.get(ONE.format("new.reader"))
        assert secret not in browser.page
        assert "label neurology or source CT1" in browser.page
        assert "No second factor" in browser.page


def test_a_name_that_is_taken_and_a_scope_that_says_nothing_come_back_with_what_was_typed(web: Web) -> None:
    add_person(web, "chief.of.slips", "admin")
    with Browser(web) as browser:
        browser.sign_in("chief.of.slips")
        browser.get("/people/new")
        browser.send("/people", name="chief.of.slips", role="auditor", scope="")
        assert browser.status == 409
        assert 'value="chief.of.slips"' in browser.page
        browser.send("/people", name="some.body", role="referrer", scope="colour=red")
        assert browser.status == 400
        assert "colour=red" in browser.page
        assert "A scope is written" in browser.alert
        browser.send("/people", name="some.body", role="auditor", scope="patient=1")
        assert "sees no images" in browser.alert
        browser.send("/people", name="Some Body", role="auditor", scope="")
        assert browser.status == 400


def test_a_referrer_without_a_scope_is_said_to_see_nothing(web: Web) -> None:
    add_person(web, "chief.of.blind", "admin")
    with Browser(web) as browser:
        browser.sign_in("chief.of.blind")
        browser.get("/people/new")
        browser.send("/people", name="blind.referrer", role="referrer", scope="")
        assert "sees no study yet" in browser.page


def test_role_and_scope_are_changed_and_count_at_once(web: Web) -> None:
    add_person(web, "chief.of.roles", "admin")
    add_person(web, "reader.of.roles")
    with Browser(web) as browser, Browser(web) as theirs:
        theirs.sign_in("reader.of.roles")
        browser.sign_in("chief.of.roles")
        browser.get(ONE.format("reader.of.roles"))
        browser.send(f"{ONE.format('reader.of.roles')}/role", role="referrer", scope="patient=4711")
        assert "one patient" in browser.page
        assert "4711" in browser.page, "who named the patient may change it"
        assert "one patient" in theirs.get("/account").text
        browser.get("/people")
        assert "4711" not in browser.page


def test_locking_unlocking_and_ending_sessions(web: Web) -> None:
    add_person(web, "chief.of.locks", "admin")
    add_person(web, "reader.of.locks")
    base = ONE.format("reader.of.locks")
    with Browser(web) as browser, Browser(web) as theirs, Browser(web) as second:
        browser.sign_in("chief.of.locks")
        theirs.sign_in("reader.of.locks")
        second.sign_in("reader.of.locks")
        browser.get(base)
        browser.send(f"{base}/sign-out")  # the first form: one session
        assert "The session has ended" in browser.page
        assert sorted((theirs.is_in, second.is_in)) == [False, True]
        browser.post(f"{base}/sign-out", {"csrf": browser.csrf})
        assert (theirs.is_in, second.is_in) == (False, False)
        theirs.sign_in("reader.of.locks")
        browser.send(f"{base}/lock")
        assert not theirs.is_in
        theirs.sign_in("reader.of.locks")
        assert not theirs.is_in
        browser.send(f"{base}/unlock")
        theirs.sign_in("reader.of.locks")
        assert theirs.is_in


def test_resetting_takes_everything_away_and_gives_a_link(web: Web) -> None:
    add_person(web, "chief.of.resets", "admin")
    add_person(web, "reader.of.resets")
    base = ONE.format("reader.of.resets")
    with Browser(web) as browser, Browser(web) as theirs:
        browser.sign_in("chief.of.resets")
        theirs.sign_in("reader.of.resets")
        browser.get(base)
        browser.send(f"{base}/reset")
        assert "/set-up#" in browser.page
        assert not theirs.is_in
        theirs.sign_in("reader.of.resets")
        assert not theirs.is_in


def test_an_account_is_removed_only_when_its_name_is_written_once_more(web: Web) -> None:
    add_person(web, "chief.of.removals", "admin")
    add_person(web, "reader.of.removals")
    base = ONE.format("reader.of.removals")
    with Browser(web) as browser:
        browser.sign_in("chief.of.removals")
        browser.get(base)
        browser.send(f"{base}/remove", again="somebody")
        assert browser.status == 400
        browser.send(f"{base}/remove", again="reader.of.removals")
        assert "The account is removed" in browser.page
        assert browser.get(base).status_code == 404


def test_nobody_changes_their_own_account_here(web: Web) -> None:
    name = add_person(web, "chief.of.himself", "admin")
    base = ONE.format(name)
    with Browser(web) as browser:
        browser.sign_in(name)
        browser.get(base)
        assert f'action="{base}/role"' not in browser.page
        for path, fields in {
            "role": {"role": "radiologist"},
            "lock": {},
            "reset": {},
            "remove": {"again": name},
        }.items():
            browser.post(f"{base}/{path}", {"csrf": browser.csrf, **fields})
            assert browser.status == 409
            assert "another administrator" in browser.alert
        assert _person(web, name) == ("admin", False)
        assert browser.is_in


def test_a_page_that_is_out_of_date_changes_nothing(web: Web) -> None:
    add_person(web, "chief.of.stale", "admin")
    add_person(web, "reader.of.stale")
    base = ONE.format("reader.of.stale")
    with Browser(web) as one, Browser(web) as other:
        one.sign_in("chief.of.stale")
        other.sign_in("chief.of.stale")
        one.get(base)
        other.get(base)
        other.send(f"{base}/role", role="researcher", scope="")
        one.send(f"{base}/role", role="technologist", scope="")
        assert one.status == 409
        assert "was changed" in one.alert
        assert _person(web, "reader.of.stale") == ("researcher", False)
        one.send(f"{base}/role", role="technologist", scope="")
        assert _person(web, "reader.of.stale") == ("technologist", False)


@pytest.mark.parametrize("role", ["radiologist", "technologist", "referrer", "researcher", "auditor"])
def test_who_does_not_manage_hears_the_same_of_every_account(web: Web, role: str) -> None:
    name = add_person(web, f"curious-{role}", role)
    add_person(web, "reader.of.curiosity")
    before = _person(web, "reader.of.curiosity")
    with Browser(web) as browser:
        browser.sign_in(name)
        assert 'href="/people"' not in browser.get("/").text
        csrf = {"csrf": browser.csrf}
        pages: set[str] = set()
        for whose in ("reader.of.curiosity", "nobody.at.all"):
            base = ONE.format(whose)
            assert browser.get("/people").status_code == 403
            assert browser.get(base).status_code == 403
            pages.add(browser.page)
            assert browser.get("/people/new").status_code == 403
            for path in ("role", "lock", "unlock", "reset", "sign-out", "remove"):
                browser.post(f"{base}/{path}", {**csrf, "role": "admin", "again": whose})
                assert browser.status == 403
                pages.add(browser.page)
        browser.post("/people", {**csrf, "name": "made.by.nobody", "role": "admin"})
        assert browser.status == 403
        assert len(pages) == 1
    assert _person(web, "reader.of.curiosity") == before
    refused = [each for each in records(web, "manage") if each.caller == f"person:{name}"]
    assert refused
    assert {each.outcome for each in refused} == {Outcome.REFUSED}


def test_a_form_of_another_site_or_session_does_nothing(web: Web) -> None:
    add_person(web, "chief.of.forgery", "admin")
    add_person(web, "reader.of.forgery")
    base = ONE.format("reader.of.forgery")
    with Browser(web) as browser:
        browser.sign_in("chief.of.forgery")
        browser.get(base)
        csrf = browser.csrf
        assert browser.post(f"{base}/lock", {"csrf": csrf}, site="cross-site").status_code == 403
        assert browser.post(f"{base}/lock", {"csrf": "nonsense"}).status_code == 403
        assert browser.post(f"{base}/lock", {}).status_code == 403
    assert _person(web, "reader.of.forgery") == ("radiologist", False)


def test_what_browsers_say_of_themselves_is_shown_harmlessly(web: Web) -> None:
    add_person(web, "chief.of.agents", "admin")
    add_person(web, "reader.of.agents")
    with Browser(web) as browser, Browser(web) as theirs:
        theirs.client.headers["User-Agent"] = "<script>alert('x')</script>\"'" + "W" * 4_000
        theirs.sign_in("reader.of.agents")
        browser.sign_in("chief.of.agents")
        browser.get(ONE.format("reader.of.agents"))
        assert "<script>alert" not in browser.page
        assert "&lt;script&gt;alert" in browser.page
        assert browser.get(ONE.format("%3Cscript%3E")).status_code == 404


def test_a_program_that_manages_does_the_same_by_json(web: Web) -> None:
    token = web.token("admin", name="hr-system")
    with web.client(token) as client:
        made = client.post("/people", json={"name": "from.hr", "role": "auditor"})
        assert made.status_code == 201
        assert "/set-up#" in made.json()["link"]
        listed = client.get("/people", headers={"Accept": "application/json"}).json()
        assert {"from.hr"} <= {each["name"] for each in listed}
        assert client.post(ONE.format("from.hr") + "/lock", json={}).status_code == 200
        one = client.get(ONE.format("from.hr"), headers={"Accept": "application/json"}).json()
        assert one["locked"] is True
        stale = client.post(ONE.format("from.hr") + "/role", json={"role": "admin", "stamp": "old"})
        assert stale.status_code == 409
    assert GOOD
