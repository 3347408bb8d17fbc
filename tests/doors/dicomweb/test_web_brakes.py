"""Brakes on the web: a token is slowed and stopped as a device is, by the settings, and told when to come back."""

from pathlib import Path

from leadglass.dicom.part10 import file_meta
from tests.peers.web import serving
from tests.vault.sets import CT, EXPLICIT, data_set, encoded

SETTINGS = """
[brakes]
delay_seconds = 0.0
[brakes.tokens]
listed_per_hour = 10
studies_per_hour = 10
"""


def study(number: int) -> str:
    return f"1.2.826.55.{number}"


def test_a_token_that_takes_more_than_its_limits_is_stopped_at_every_resource_and_on_record(tmp_path: Path) -> None:
    files = tmp_path / "files"
    files.mkdir()
    for number in range(12):
        uid = f"{study(number)}.1.1"
        made = data_set(
            StudyInstanceUID=study(number),
            SeriesInstanceUID=f"{study(number)}.1",
            SOPInstanceUID=uid,
            PatientID=f"P{number}",
        )
        (files / str(number)).write_bytes(file_meta(CT, uid, EXPLICIT) + encoded(made))
    with serving(tmp_path, settings=SETTINGS) as web:
        web.leadglass.do("import", files)
        with web.client(web.token(name="greedy")) as client:
            assert len(client.get("/dicom-web/studies?limit=10").json()) == 10
            refused = client.get("/dicom-web/studies?limit=12")
            assert refused.status_code == 429
            assert int(refused.headers["retry-after"]) > 60
            assert "Try again in" in refused.json()["detail"]
            assert len(client.get("/dicom-web/studies?limit=10").json()) == 10, "what it was shown it may see again"
            got = [client.get(f"/dicom-web/studies/{study(number)}/metadata").status_code for number in range(12)]
            assert got == [200] * 10 + [429] * 2
        with web.client(web.token(name="modest")) as client:
            assert client.get(f"/dicom-web/studies/{study(11)}/metadata").status_code == 200, "another is not braked"
        alerts = [record for record in web.leadglass.audit() if record["outcome"] == "alert"]
        assert {str(record["caller"]) for record in alerts} == {"token:greedy"}
        web.leadglass.do("brakes", "release", "token:greedy")
