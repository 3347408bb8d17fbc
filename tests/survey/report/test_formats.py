"""Formats: JSON holds to its schema, SARIF to its rules, and no cell of the table is a formula."""

import csv
import io
import json
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import cast

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadglass.survey.report.document import as_json, document
from leadglass.survey.report.model import Report
from leadglass.survey.report.sarif import FINGERPRINT, GITHUBS_FINGERPRINT, as_sarif, sarif
from leadglass.survey.report.table import COLUMNS, harmless, table
from tests.corpus import ROOT
from tests.survey.followed import followed, found
from tests.survey.report.reported import second_run
from tests.survey.report.sarif_schema import SCHEMA as SARIF_SCHEMA

SCHEMA = json.loads((ROOT / "docs" / "survey-report.schema.json").read_text())


@pytest.fixture
def report(tmp_path: Path) -> Generator[Report]:
    """Give the report of a second run."""
    with second_run(tmp_path) as (_, made):
        yield made


def test_a_report_holds_to_its_schema(report: Report) -> None:
    jsonschema_rs.validate(SCHEMA, json.loads(document(report)))


def test_an_empty_report_holds_to_it_too(tmp_path: Path) -> None:
    kept = followed(tmp_path)
    run, _ = kept.run([], looked=[])
    jsonschema_rs.validate(SCHEMA, json.loads(document(kept.report(run))))
    kept.state.close()


def _objects(schema: object) -> Generator[Mapping[str, object]]:
    if isinstance(schema, dict):
        table = cast("dict[str, object]", schema)
        if table.get("type") == "object":
            yield table
        for each in table.values():
            yield from _objects(each)
    elif isinstance(schema, list):
        for each in cast("list[object]", schema):
            yield from _objects(each)


def test_the_schema_lets_nothing_through_that_it_does_not_name(report: Report) -> None:
    assert all("additionalProperties" in each for each in _objects(SCHEMA))
    for path in ((), ("run",), ("summary",), ("findings", 0)):
        made = json.loads(document(report))
        inside = made
        for key in path:
            inside = inside[key]
        inside["PatientName"] = "DOE^JANE"
        with pytest.raises(jsonschema_rs.ValidationError):
            jsonschema_rs.validate(SCHEMA, made)


def test_json_and_sarif_are_ascii_so_that_no_terminal_obeys_them(report: Report) -> None:
    assert document(report).isascii()
    assert sarif(report).isascii()


def test_the_tallies_of_a_document_are_those_of_its_report(report: Report) -> None:
    summary = as_json(report)["summary"]
    assert isinstance(summary, dict)
    assert summary["tally"] == {"new": 2, "back": 1, "gone": 1, "still": 3}


# --- SARIF ----------------------------------------------------------------------------


def test_each_result_has_its_fingerprint_and_baseline_state(report: Report) -> None:
    made = json.loads(sarif(report))
    assert made["version"] == "2.1.0"
    (run,) = made["runs"]
    states = {
        each["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]: each["baselineState"]
        for each in run["results"]
    }
    assert states == {
        "tcp://192.0.2.10:104": "unchanged",
        "tcp://192.0.2.11:104": "updated",
        "tcp://192.0.2.12:445": "unchanged",
        "tcp://192.0.2.13:104": "absent",
        "tcp://192.0.2.15:104": "new",
        "tcp://192.0.2.16:104": "new",
        "tcp://192.0.2.17:104": "new",
    }
    prints = [each["partialFingerprints"][FINGERPRINT] for each in run["results"]]
    assert len(set(prints)) == len(prints)
    rules = run["tool"]["driver"]["rules"]
    for each in run["results"]:
        assert rules[each["ruleIndex"]]["id"] == each["ruleId"]
        assert each["message"]["text"]
        assert (each["level"] == "none") == (each["kind"] != "fail")


def test_a_log_says_nothing_that_the_standard_does_not_name(report: Report) -> None:
    jsonschema_rs.validate(SARIF_SCHEMA, json.loads(sarif(report)), validate_formats=True)


def test_an_empty_log_holds_to_the_standard_too(tmp_path: Path) -> None:
    kept = followed(tmp_path)
    run, _ = kept.run([], looked=[])
    jsonschema_rs.validate(SARIF_SCHEMA, json.loads(sarif(kept.report(run))), validate_formats=True)
    kept.state.close()


def test_a_rule_and_a_result_have_what_code_scanning_needs(report: Report) -> None:
    """GitHub shows a rule's texts and sorts by its score; it takes no result without a line, and knows one print."""
    (run,) = json.loads(sarif(report))["runs"]
    rules = {each["id"]: each for each in run["tool"]["driver"]["rules"]}
    for rule in rules.values():
        assert "security" in rule["properties"]["tags"]
        assert 0 <= float(rule["properties"]["security-severity"]) <= 10
        assert rule["properties"]["precision"] in {"very-high", "high", "medium", "low"}
        for text in ("shortDescription", "fullDescription", "help"):
            assert rule[text]["text"]
    assert "firewall" in rules["dicom-query"]["help"]["markdown"].lower()
    assert rules["smb-guest"]["defaultConfiguration"]["level"] == "error"
    for each in run["results"]:
        location = each["locations"][0]["physicalLocation"]
        assert location["region"]["startLine"] == 1
        assert each["partialFingerprints"][GITHUBS_FINGERPRINT].startswith(each["partialFingerprints"][FINGERPRINT])


def test_what_is_accepted_is_suppressed_with_its_reason(report: Report) -> None:
    results = json.loads(sarif(report))["runs"][0]["results"]
    suppressed = [each for each in results if "suppressions" in each]
    assert [each["ruleId"] for each in suppressed] == ["smb-guest"]
    assert suppressed[0]["suppressions"][0]["kind"] == "external"
    assert "until 2026-03-31" in suppressed[0]["suppressions"][0]["justification"]


def test_what_came_back_says_so(report: Report) -> None:
    results = json.loads(sarif(report))["runs"][0]["results"]
    assert [each["locations"][0]["logicalLocations"][0]["fullyQualifiedName"] for each in results
            if each["properties"]["regressed"]] == ["192.0.2.15:104"]  # fmt: skip


def test_the_baseline_follows_a_finding_from_open_to_regressed(tmp_path: Path) -> None:
    kept = followed(tmp_path)
    states: list[list[str]] = []
    for findings in ([found()], [found()], [], [], [found()]):
        run, _ = kept.run(findings)
        runs = as_sarif(kept.report(run))["runs"]
        assert isinstance(runs, list)
        states.append([each["baselineState"] for each in runs[0]["results"]])  # pyright: ignore[reportUnknownVariableType]
    assert states == [["new"], ["unchanged"], ["absent"], [], ["new"]]
    assert kept.standings() == ["regressed"]
    kept.state.close()


# --- CSV --------------------------------------------------------------------------------


def test_a_table_has_a_line_a_finding_and_no_formula(report: Report) -> None:
    rows = list(csv.DictReader(io.StringIO(table(report))))
    assert list(rows[0]) == list(COLUMNS)
    assert len(rows) == len(report.items) + len(report.absent) + len(report.unlooked)
    assert {row["change"] for row in rows} == {"new", "unchanged", "updated", "absent", "not looked at"}
    assert any("cmd|" in row["unit"] for row in rows)
    for row in rows:
        for value in row.values():
            assert not value.lstrip().startswith(("=", "+", "-", "@")), value


@given(st.text(st.sampled_from("=+-@\t\r\n |%＝＋ab'\u00a0"), max_size=8))  # noqa: RUF001 - full-width signs
def test_no_text_becomes_a_formula(text: str) -> None:
    made = harmless(text)
    assert not made.strip(" \u00a0").startswith(("=", "+", "-", "@", "\t", "\r", "\n", "|", "%", "＝", "＋"))  # noqa: RUF001 - the same
    assert made.endswith(text)
