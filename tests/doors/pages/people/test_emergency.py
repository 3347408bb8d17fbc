from pathlib import Path

from tests.doors.pages.browser import Browser, add_person, records
from tests.peers.web import Web, serving

WHY = "Trauma, <b>no</b> history at hand"


def test_glass_is_broken_reviewed_by_somebody_else_and_on_record_at_once(tmp_path: Path) -> None:
    with serving(tmp_path) as web:  # of its own: the page says how many wait for a review
        break_and_review(web)


def break_and_review(web: Web) -> None:
    """Break glass as a referrer and review it as an auditor."""
    add_person(web, "dr.roe", "referrer", "patient=1")
    add_person(web, "audrey", "auditor")
    with Browser(web) as doctor, Browser(web) as auditor:
        doctor.sign_in("dr.roe")
        doctor.get("/break-glass")
        doctor.send("/break-glass", field="patient", value=" ", reason=WHY, minutes="30")
        assert "Write the Patient ID" in doctor.page
        doctor.send("/break-glass", field="patient", value="4711", reason="x", minutes="30")
        assert doctor.status == 400
        assert 'value="4711"' in doctor.page, "what was typed is kept"
        doctor.send("/break-glass", field="patient", value="4711", reason=WHY, minutes="30")
        assert doctor.status == 200
        assert "Patient ID 4711" in doctor.page
        rights = doctor.client.get("/", headers={"Accept": "application/json"}).json()["rights"]
        assert any(right.startswith("break-glass 1 until") for right in rights)
        (alert,) = [each for each in records(web, "break-glass") if each.outcome == "alert"]
        assert alert.caller == "person:dr.roe"
        assert "4711" not in repr(alert)
        assert doctor.get("/break-glass/review").status_code == 403

        auditor.sign_in("audrey")
        assert "1 to look at" in auditor.page
        auditor.get("/break-glass/review")
        assert "&lt;b&gt;no&lt;/b&gt;" in auditor.page
        auditor.send("/break-glass/review", note="justified")
        assert "Nothing waits for a review" in auditor.page
        assert auditor.get("/break-glass").status_code == 200
        assert "opens nothing" in auditor.page


def test_the_command_line_lists_and_reviews(web: Web) -> None:
    add_person(web, "dr.poe", "referrer")
    with web.client() as client:
        csrf = client.post("/sign-in", json={"name": "dr.poe", "password": "violet tractor kneeling moss"}).json()[
            "csrf"
        ]
        made = client.post(
            "/break-glass",
            json={"field": "study", "value": "1.2.840.99", "reason": "Stroke, every minute counts", "minutes": 10},
            headers={"X-Leadglass-Csrf": csrf},
        )
        assert made.status_code == 201
        number = str(made.json()["number"])
        asked = client.get("/dicom-web/studies/1.2.840.99/metadata", headers={"Accept": "application/dicom+json"})
        assert asked.status_code == 404, "permitted, and not here"
    assert "1.2.840.99" in web.leadglass.do("breakglass", "list")
    web.leadglass.do("breakglass", "review", number, "--note", "fine")
    assert "1.2.840.99" not in web.leadglass.do("breakglass", "list")
    assert "1.2.840.99" in web.leadglass.do("breakglass", "list", "--all")
    assert web.leadglass.cli("breakglass", "review", number).code == 1
