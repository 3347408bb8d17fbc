"""What implementation class UIDs and versions are known to mean."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadglass.survey.speech.products import FLAWS, dicom_product, flaws_of


@pytest.mark.parametrize(
    ("uid", "name", "found"),
    [
        ("1.2.276.0.7230010.3.0.3.6.7", "OFFIS_DCMTK_367", ("DCMTK", "3.6.7")),
        ("1.2.276.0.7230010.3.0.3.6.10", "OFFIS_DCMTK_3610", ("DCMTK", "3.6.10")),
        ("1.2.826.0.1.3680043.9.3811.3.0.4", "PYNETDICOM_304", ("pynetdicom", "3.0.4")),
        ("1.2.40.0.13.1.3", "dcm4che-5.31.0", ("dcm4che", "5.31.0")),
        ("1.2.826.0.1.3680043.9.7133.1.1", "GONETDICOM_1_1", ("go-netdicom", "1.1")),
        ("9.9.9", "SECRET_1.2.3", ("", "")),
        ("1.2.40.0.13.1.3", "JOHN DOE", ("dcm4che", "")),
    ],
)
def test_a_product_is_named_where_the_table_has_it(uid: str, name: str, found: tuple[str, str]) -> None:
    assert dicom_product(uid, name) == found


@given(st.sampled_from(["1.2.276.0.7230010.3.1", "1.2.40.0.13.1.3", "1.2.3"]), st.text(max_size=16))
def test_nothing_goes_through_but_names_of_the_table_and_digits(uid: str, name: str) -> None:
    product, version = dicom_product(uid, name)
    assert product in {"DCMTK", "Orthanc", "dcm4che", ""}
    assert re.fullmatch(r"[0-9.]*", version, re.ASCII)


def test_flaws_end_with_the_version_that_mended_them() -> None:
    assert "CVE-2022-2119" in {each.name for each in flaws_of("DCMTK", "3.6.6")}
    assert "CVE-2022-2119" not in {each.name for each in flaws_of("DCMTK", "3.6.7")}
    assert {each.name for each in flaws_of("DCMTK", "3.6.10")} == {"CVE-2026-50254", "CVE-2026-35505"}
    assert "CVE-2025-0896" in {each.name for each in flaws_of("Orthanc", "1.5.7")}
    assert flaws_of("Orthanc", "1.12.11") == ()
    assert flaws_of("Orthanc", "") == flaws_of("Orthanc", "x") == flaws_of("other", "1.0") == ()


def test_each_flaw_is_named_once_for_a_product() -> None:
    assert len({(each.name, each.product) for each in FLAWS}) == len(FLAWS)
    assert all(re.fullmatch(r"CVE-\d{4}-\d{4,6}", each.name) for each in FLAWS)
