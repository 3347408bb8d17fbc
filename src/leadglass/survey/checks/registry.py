"""The one list of checks, in the order in which they are made at an endpoint."""

from typing import Final

from leadglass.survey.check import Check
from leadglass.survey.checks import dicom_answers

CHECKS: Final[tuple[Check, ...]] = (dicom_answers.CHECK,)
"""A check that is not in it is not run. Those of a lower level come first."""
