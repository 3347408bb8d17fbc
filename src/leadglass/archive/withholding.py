"""Withholding: which instances a caller whose view masks attributes is not given at all.

Rule 1. An instance is given when something says that nobody's name can be in
what a mask does not reach: in the image, in text, in a document. Otherwise it is
withheld, with its reason. Rule 2. A class that is not in the table is withheld.

The table is a judgement, not the Standard's: cross-sectional images are
reconstructed and show no text unless they say so; a projection is an image to
which text is often added, so the device must have said that there is none; and
of screens, documents and reports nothing is believed.
"""

from types import MappingProxyType
from typing import Final, cast

from leadglass.dicom import sop_classes, tags, uids
from leadglass.dicom.model import Attributes
from leadglass.dicom.tags import key

_STORAGE: Final = "1.2.840.10008.5.1.4.1.1."

_RECONSTRUCTED: Final = frozenset(
    _STORAGE + last
    for last in (
        "2", "2.1", "2.2",  # CT, enhanced, legacy converted
        "4", "4.1", "4.2", "4.4",  # MR, enhanced, spectroscopy, legacy converted
        "20", "128", "128.1", "130",  # NM, PET, legacy converted, enhanced
        "13.1.1", "13.1.2", "13.1.3",  # X-ray 3D angiographic, craniofacial, breast tomosynthesis
        "30", "66.4", "66.5", "66.7", "66.8",  # parametric map, segmentations
        "481.2",  # RT dose
    )
)  # fmt: skip
_PROJECTED: Final = frozenset(
    _STORAGE + last
    for last in (
        "1", "1.1", "1.1.1", "1.2", "1.2.1", "1.3", "1.3.1",  # CR, DX, mammography, intra-oral
        "12.1", "12.1.1", "12.2", "12.2.1", "13.1.4", "13.1.5",  # XA, RF, breast projection
        "77.1.5.4",  # ophthalmic tomography
        "77.1.6",  # whole slide microscopy
    )
)  # fmt: skip
_WITHOUT_IMAGE: Final = frozenset(
    _STORAGE + last
    for last in (
        "66.1", "66.2", "66.3", "67",  # registrations, fiducials, real world values
        "481.3",  # RT structure set
        "9.1.1", "9.1.2", "9.1.3", "9.2.1", "9.3.1", "9.4.1", "9.5.1", "9.6.1", "9.7.1",  # waveforms
    )
)  # fmt: skip
_COLOR_IS_USUAL: Final = frozenset({_STORAGE + "77.1.6"})

_SCREENS: Final = frozenset({"US", "IVUS", "SC", "OT", "ES", "XC", "DOC", "SR", "KO", "PR", "SMR", "HC", "FID"})
"""Modalities of what is a screen, a photograph or a document, whatever its class says."""

_CAPTURED: Final = frozenset(
    {"SCREEN SAVE", "SCREENSAVE", "SCREEN_SAVE", "SCREENSHOT", "SCREEN SHOT", "REPORT", "LABEL", "OVERVIEW"}
)
"""Values of Image Type that tell of text in the image."""

_REFERRED: Final = frozenset(
    {
        uids.JPIP_REFERENCED,
        uids.JPIP_REFERENCED_DEFLATED,
        uids.JPIP_HTJ2K_REFERENCED,
        uids.JPIP_HTJ2K_REFERENCED_DEFLATED,
    }
)

_FLAGS: Final = MappingProxyType(
    {
        tags.BurnedInAnnotation: "its image has text burned in",
        tags.RecognizableVisualFeatures: "its image shows somebody who can be recognised",
        tags.SpecimenLabelInImage: "its image shows the specimen's label",
    }
)
_HOLDERS: Final = MappingProxyType(
    {
        tags.ContentSequence: "it is a report, whose text no mask reaches",
        tags.EncapsulatedDocument: "it holds a document, which no mask reaches",
        tags.ConversionType: "it was captured from something else",
    }
)


def why_withheld(sop_class_uid: str, transfer_syntax_uid: str, attributes: Attributes) -> str:
    """Say why an instance is not given to somebody who may not see whom it is of; empty when it is given.

    Parameters
    ----------
    sop_class_uid, transfer_syntax_uid : str
        Of the instance.
    attributes : Attributes
        Its metadata, unmasked.
    """
    why = (
        _by_kind(sop_class_uid, transfer_syntax_uid) or _by_content(attributes) or _by_image(sop_class_uid, attributes)
    )
    return f"Not given where attributes are masked: {why}." if why else ""


def _by_kind(sop_class_uid: str, transfer_syntax_uid: str) -> str:
    if not uids.is_transfer_syntax(transfer_syntax_uid):
        return "its transfer syntax is private"
    if transfer_syntax_uid in _REFERRED:
        return "its image lies elsewhere, under an address that may tell"
    if sop_class_uid not in _RECONSTRUCTED | _PROJECTED | _WITHOUT_IMAGE:
        return f"{sop_classes.name_of(sop_class_uid)} may tell whom it is of in ways that no mask reaches"
    return ""


def _by_content(attributes: Attributes) -> str:
    for tag, why in _FLAGS.items():
        if _first(attributes, tag) not in ("", "NO"):
            return why
    for tag, why in _HOLDERS.items():
        if "Value" in (held := attributes.get(key(tag), {"vr": ""})) or "BulkDataURI" in held or "InlineBinary" in held:
            return why
    modality = _first(attributes, tags.Modality)
    if modality in _SCREENS:
        return f"its modality is {modality}"
    return ""


def _by_image(sop_class_uid: str, attributes: Attributes) -> str:
    if sop_class_uid in _WITHOUT_IMAGE:
        return ""
    image_type = {str(value).strip().upper() for value in _values(attributes, tags.ImageType)}
    if image_type & _CAPTURED:
        return "its image is a captured screen, or a label"
    if sop_class_uid in _PROJECTED and _first(attributes, tags.BurnedInAnnotation) != "NO":
        return "its device did not say that its image is without text"
    samples = _values(attributes, tags.SamplesPerPixel)
    if sop_class_uid not in _COLOR_IS_USUAL and samples not in ([], [1]):
        return "its image is in color, as captured screens are"
    for name in attributes:
        if tags.is_embedded_overlay_position(int(name, 16)) and attributes[name].get("Value", [0]) != [0]:
            return "its image has an overlay in the bits of its pixels"
    return ""


def _values(attributes: Attributes, tag: int) -> list[object]:
    return cast("list[object]", attributes.get(key(tag), {"vr": ""}).get("Value", []))


def _first(attributes: Attributes, tag: int) -> str:
    values = _values(attributes, tag)
    return str(values[0]).strip().upper() if values and values[0] is not None else ""
