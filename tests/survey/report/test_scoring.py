"""Scoring: every vector comes to what the published calculator says, and none says more than was proved."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from cvss import CVSS4  # pyright: ignore[reportMissingTypeStubs]

from leadglass.survey.checks.registry import CHECKS
from leadglass.survey.findings import Exposure
from leadglass.survey.report.page import page
from leadglass.survey.report.scoring import SCORES, Score, score_of
from leadglass.survey.scope import Vantage
from tests.survey.followed import STRANGERS, followed, found


@pytest.mark.parametrize("metrics", list(SCORES))
def test_a_vector_comes_to_what_the_published_calculator_says(metrics: str) -> None:
    for way, said in zip("NA", SCORES[metrics], strict=True):
        calculated = CVSS4(f"CVSS:4.0/AV:{way}/{metrics}")  # pyright: ignore[reportUnknownVariableType]
        assert float(str(calculated.base_score)) == said  # pyright: ignore[reportUnknownArgumentType, reportUnknownMemberType]
        assert calculated.clean_vector() == f"CVSS:4.0/AV:{way}/{metrics}"  # pyright: ignore[reportUnknownMemberType]


@pytest.mark.parametrize(
    ("check", "exposure", "scores"),
    [
        (STRANGERS, Exposure.E1, None),
        (STRANGERS, Exposure.E2, (6.9, 5.3)),
        ("dicom-query", Exposure.E3, (8.7, 7.1)),
        ("smb-guest", Exposure.E4, (8.7, 7.1)),
        ("orthanc-rest", Exposure.E5, (8.7, 7.1)),
        ("web-credentials", Exposure.E4, (9.3, 8.7)),
        ("portal-in-clear", Exposure.E1, (7.6, 7.4)),
        ("dicom-clear", Exposure.E1, (9.1, 7.6)),
        ("dicom-certificate", Exposure.E1, (8.2, 6.0)),
        ("dicom-version", Exposure.E2, None),
        ("dicom-honeypot", Exposure.E1, None),
    ],
)
def test_a_score_follows_from_what_was_proved_and_from_where(
    check: str, exposure: Exposure, scores: tuple[float, float] | None
) -> None:
    made = [score_of(found(check=check, exposure=exposure), each) for each in (Vantage.INTERNET, Vantage.INTERNAL)]
    assert scores == (None if made[0] is None else tuple(each.score for each in made if each))
    assert made[1] is None or made[1].vector.startswith("CVSS:4.0/AV:A/")


@pytest.mark.parametrize(
    ("proof", "is_scored"),
    [
        ({"newest": "TLSv1.3", "old_versions": "no", "weak_suites": "no"}, False),  # no client certificate is needed
        ({"newest": "TLSv1.2", "old_versions": "yes", "weak_suites": "no"}, True),
        ({"newest": "TLSv1.2", "old_versions": "no", "weak_suites": "yes"}, True),
        ({"newest": "none of TLS 1.2 and 1.3", "old_versions": "no", "weak_suites": "no"}, True),
    ],
)
def test_tls_is_scored_where_it_can_be_broken(proof: Mapping[str, str | int], *, is_scored: bool) -> None:
    made = score_of(found(check="dicom-tls", exposure=Exposure.E1, proof=dict(proof)), Vantage.INTERNAL)
    assert (made is not None) is is_scored


def test_what_follows_from_a_version_has_no_vector_of_ours() -> None:
    assert score_of(found(exposure=Exposure.E4, inferred=True), Vantage.INTERNET) is None


def test_checks_that_are_scored_by_name_are_there() -> None:
    known = {each.id for each in CHECKS}
    for check in ("web-credentials", "portal-in-clear", "dicom-clear", "dicom-certificate", "dicom-tls"):
        assert check in known
        assert isinstance(score_of(replace(found(), check=check, proof={"weak_suites": "yes"}), "internal"), Score)


def test_the_page_shows_a_score_beside_its_vector(tmp_path: Path) -> None:
    kept = followed(tmp_path)
    run, _ = kept.run([found()])
    assert "7.1 <span" in page(kept.report(run))
    assert "CVSS:4.0/AV:A/AC:L/AT:N/PR:N/UI:N/VC:H/VI:N/VA:N/SC:N/SI:N/SA:N" in page(kept.report(run))
    kept.state.close()
