"""The page of the survey says of each DICOM check what it is, and of none that is not there."""

import re
from pathlib import Path

from leadglass.survey.checks.registry import CHECKS

PAGE = Path(__file__).parents[2] / "docs" / "survey.md"


def test_every_dicom_check_is_on_the_page_with_its_level() -> None:
    rows = dict(re.findall(r"^\| `(dicom-[a-z]+)` \| (\d) \|", PAGE.read_text(), re.MULTILINE))
    assert rows == {check.id: str(int(check.level)) for check in CHECKS if check.id.startswith("dicom-")}


def test_every_check_has_an_id_of_its_own_and_says_what_it_sends() -> None:
    assert len({check.id for check in CHECKS}) == len(CHECKS)
    for check in CHECKS:
        assert check.title.endswith(".")
        assert check.sends.endswith(".")
        assert check.controls
        assert check.fixes
