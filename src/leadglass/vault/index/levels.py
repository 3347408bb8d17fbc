"""Which attributes are kept once for a study or series, from its first instance.

Rule: what ``dicom.levels`` gives to the patient, the study or the series stands
on that row, so that a query at its level never looks at instances.
"""

from typing import Final

from leadglass.dicom import tags
from leadglass.dicom.levels import SERIES_ATTRIBUTES, STUDY_ATTRIBUTES, is_of_patient
from leadglass.dicom.model import Attributes

_STUDY: Final = frozenset(map(tags.key, STUDY_ATTRIBUTES | {tags.SpecificCharacterSet, tags.TimezoneOffsetFromUTC}))
"""With what says how the others are to be read."""

_SERIES: Final = frozenset(map(tags.key, SERIES_ATTRIBUTES))


def of_study(attributes: Attributes) -> Attributes:
    """Give those that belong to the patient or the study."""
    return {key: each for key, each in attributes.items() if key in _STUDY or is_of_patient(int(key, 16))}


def of_series(attributes: Attributes) -> Attributes:
    """Give those that belong to the series."""
    return {key: each for key, each in attributes.items() if key in _SERIES}
