"""Questions over a chosen part of the corpus, and what answers them: data for ``test_find_table``.

Rule: what is expected is said in terms of pydicom data sets and plain Python,
never in terms of our own matching. ``count`` is how many entities the question
has to find, so that a rule that holds for nothing does not pass for a right one.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

FILES: Final = (
    "charset/chrArab.dcm", "charset/chrFren.dcm", "charset/chrGerm.dcm", "charset/chrGreek.dcm",
    "charset/chrH31.dcm", "charset/chrH32.dcm", "charset/chrHbrw.dcm", "charset/chrI2.dcm",
    "charset/chrJapMulti.dcm", "charset/chrKoreanMulti.dcm", "charset/chrRuss.dcm", "charset/chrX1.dcm",
    "charset/chrX2.dcm",
    "fileset/77654033/CR1/6154", "fileset/77654033/CR2/6247", "fileset/77654033/CR3/6278",
    "fileset/77654033/CT2/17106", "fileset/77654033/CT2/17136", "fileset/77654033/CT2/17166",
    "fileset/77654033/CT2/17196",
    "fileset/98892001/CT2N/6293", "fileset/98892001/CT2N/6924", "fileset/98892001/CT5N/2062",
    "fileset/98892001/CT5N/2392", "fileset/98892001/CT5N/2693",
    "fileset/98892003/MR1/15820", "fileset/98892003/MR1/4919", "fileset/98892003/MR1/5641",
    "fileset/98892003/MR2/15970", "fileset/98892003/MR2/4950", "fileset/98892003/MR2/4981",
    "fileset/98892003/MR2/6273", "fileset/98892003/MR2/6605", "fileset/98892003/MR700/4467",
    "fileset/98892003/MR700/4528",
    "highdicom/dx_image.dcm", "highdicom/seg_image_cr_binary.dcm", "highdicom/seg_image_ct_binary.dcm",
    "series/mr_prostate_adc/000000.dcm", "series/mr_prostate_adc/000001.dcm",
    "dcmqi/rwvm.dcm", "dcmqi/seg.dcm", "dcmqi/sr.dcm",
    "cornerstone3D/CTImage.dcm",
)  # fmt: skip

Keys = Mapping[str, str | list[str]]
Rule = Callable[[Any], bool]
"""Whether an instance, as pydicom reads it, answers."""


@dataclass(frozen=True, slots=True)
class Question:
    """One row of the table.

    Parameters
    ----------
    name : str
        What it is about.
    level : str
        Query/Retrieve Level.
    keys : mapping of str to str or list of str
        Keywords and values; an inner key of a sequence as ``Sequence.Keyword``.
        A value ``=file`` stands for what the file has there.
    rule : callable
        Which instances answer; an entity answers when one of its instances does.
    count : int
        How many entities that is.
    root : str
        ``P`` Patient Root, ``S`` Study Root.
    charset : str
        Specific Character Set of the question.
    """

    name: str
    level: str
    keys: Keys
    rule: Rule
    count: int
    root: str = "S"
    charset: str | list[str] = ""


def text(dataset: Any, keyword: str) -> str:
    """Give a value as text, empty when absent."""
    value = dataset.get(keyword)
    return "" if value is None else str(value)


def item(dataset: Any, sequence: str, keyword: str) -> list[str]:
    """Give a keyword's values in the items of a sequence."""
    items: list[Any] = dataset.get(sequence) or []
    return [text(one, keyword) for one in items]


def everything(_: Any) -> bool:
    """Let every instance answer."""
    return True


QUESTIONS: Final = (
    # --- universal and single value (C.2.2.2.1, C.2.2.2.3) ---
    Question("all patients", "PATIENT", {"PatientID": ""}, everything, 19, root="P"),
    Question("all studies", "STUDY", {"StudyInstanceUID": ""}, everything, 23),
    Question("single ID", "STUDY", {"PatientID": "98890234"}, lambda d: text(d, "PatientID") == "98890234", 4),
    Question(
        "single ID, at patient level", "PATIENT", {"PatientID": "98890234"},
        lambda d: text(d, "PatientID") == "98890234", 1, root="P",
    ),
    Question("single ID is case sensitive", "STUDY", {"PatientID": "scsfren"}, lambda _: False, 0),
    Question("single date", "STUDY", {"StudyDate": "20010101"}, lambda d: text(d, "StudyDate") == "20010101", 2),
    Question("single time", "STUDY", {"StudyTime": "051743"}, lambda d: text(d, "StudyTime") == "051743", 0),
    Question("code string", "STUDY", {"PatientSex": "M"}, lambda d: text(d, "PatientSex") == "M", 8),
    Question(
        "two keys", "STUDY", {"PatientID": "98890234", "StudyDate": "20030505"},
        lambda d: text(d, "PatientID") == "98890234" and text(d, "StudyDate") == "20030505", 3,
    ),
    Question("nobody", "STUDY", {"PatientID": "NO-SUCH-PATIENT"}, lambda _: False, 0),
    # --- wild cards (C.2.2.2.4) ---
    Question("wild *", "STUDY", {"PatientID": "SCS*"}, lambda d: text(d, "PatientID").startswith("SCS"), 6),
    Question(
        "wild ?", "STUDY", {"PatientID": "H3?EXAMPLE"},
        lambda d: text(d, "PatientID") in {"H31EXAMPLE", "H32EXAMPLE"}, 2,
    ),
    Question(
        "wild in the middle", "STUDY", {"StudyDescription": "CT*BRAIN*"},
        lambda d: text(d, "StudyDescription").startswith("CT") and "BRAIN" in text(d, "StudyDescription"), 1,
    ),
    Question("wild * alone is universal", "STUDY", {"PatientID": "*"}, everything, 23),
    # --- ranges (C.2.2.2.5) ---
    Question(
        "dates from to", "STUDY", {"StudyDate": "19950101-20021231"},
        lambda d: "19950101" <= text(d, "StudyDate") <= "20021231", 4,
    ),
    Question("dates from", "STUDY", {"StudyDate": "20040101-"}, lambda d: text(d, "StudyDate") >= "20040101", 3),
    Question(
        "dates until", "STUDY", {"StudyDate": "-19951231"},
        lambda d: "" < text(d, "StudyDate") <= "19951231", 3,
    ),
    Question(
        "times from to", "STUDY", {"StudyTime": "0200-0459"},
        lambda d: "0200" <= text(d, "StudyTime")[:4] <= "0459", 2,
    ),
    # --- UIDs (C.2.2.2.2) ---
    Question(
        "list of UIDs", "SERIES",
        {"StudyInstanceUID": "=fileset/98892003/MR1/4919",
         "SeriesInstanceUID": ["=fileset/98892003/MR1/4919", "=fileset/98892003/MR2/4950"]},
        lambda d: text(d, "StudyID") == "134", 2,
    ),
    # --- person names (case does not matter) ---
    Question("name", "STUDY", {"PatientName": "Doe^Peter"}, lambda d: text(d, "PatientName") == "Doe^Peter", 4),
    Question(
        "name in lower case", "STUDY", {"PatientName": "doe^peter"},
        lambda d: text(d, "PatientName").casefold() == "doe^peter", 4,
    ),
    Question(
        "name with *", "STUDY", {"PatientName": "DOE*"},
        lambda d: text(d, "PatientName").casefold().startswith("doe"), 6,
    ),
    # --- character sets (C.2.2.2, PS3.3 C.12.1.1.2) ---
    Question(
        "Latin 1 asked in Latin 1", "STUDY", {"PatientName": "Buc^Jérôme"},
        lambda d: text(d, "PatientName") == "Buc^Jérôme", 1, charset="ISO_IR 100",
    ),
    Question(
        "Latin 1 asked in UTF-8", "STUDY", {"PatientName": "Äneas*"},
        lambda d: text(d, "PatientName").startswith("Äneas"), 1, charset="ISO_IR 192",
    ),
    Question(
        "Arabic", "STUDY", {"PatientName": "قباني^لنزار"},
        lambda d: text(d, "PatientName") == "قباني^لنزار", 1, charset="ISO_IR 127",
    ),
    Question(
        "Greek", "STUDY", {"PatientName": "Διον*"},
        lambda d: text(d, "PatientName").startswith("Διον"), 1, charset="ISO_IR 126",
    ),
    Question(
        "Cyrillic", "STUDY", {"PatientName": "Люк*"},
        lambda d: text(d, "PatientName").startswith("Люк"), 1, charset="ISO_IR 144",
    ),
    Question(
        "Hebrew", "STUDY", {"PatientName": "שרון*"},
        lambda d: text(d, "PatientName").startswith("שרון"), 1, charset="ISO_IR 138",
    ),
    Question(
        "kanji with code extensions", "STUDY", {"PatientName": "*=山田*"},
        lambda d: "山田" in text(d, "PatientName"), 2, charset=["", "ISO 2022 IR 87"],
    ),
    Question(
        "kanji asked in UTF-8", "STUDY", {"PatientName": "*=山田^太郎"},
        lambda d: "山田^太郎" in text(d, "PatientName"), 2, charset="ISO_IR 192",
    ),
    Question(
        "hangul", "STUDY", {"PatientName": "김희중"},
        lambda d: text(d, "PatientName") == "김희중", 1, charset=["", "ISO 2022 IR 149"],
    ),
    Question(
        "Chinese stored in GB18030, asked in UTF-8", "STUDY", {"PatientName": "*=*小东"},
        lambda d: "小东" in text(d, "PatientName"), 1, charset="ISO_IR 192",
    ),
    Question(
        "Chinese stored in UTF-8, asked in GB18030", "STUDY", {"PatientName": "*=*小東"},
        lambda d: "小東" in text(d, "PatientName"), 1, charset="GB18030",
    ),
    # --- computed keys (C.3.4) ---
    Question(
        "modality in study", "STUDY", {"ModalitiesInStudy": "SEG"}, lambda d: text(d, "Modality") == "SEG", 3
    ),
    Question(
        "one of two modalities in study", "STUDY", {"ModalitiesInStudy": ["SR", "DX"]},
        lambda d: text(d, "Modality") in {"SR", "DX"}, 2,
    ),
    # --- sequences (C.2.2.2.6) ---
    Question(
        "procedure code", "STUDY", {"ProcedureCodeSequence.CodeValue": "M2195"},
        lambda d: "M2195" in item(d, "ProcedureCodeSequence", "CodeValue"), 1,
    ),
    Question(
        "procedure code with another scheme", "STUDY",
        {"ProcedureCodeSequence.CodeValue": "M2195", "ProcedureCodeSequence.CodingSchemeDesignator": "OTHER"},
        lambda _: False, 0,
    ),
    Question(
        "requested procedure", "SERIES",
        {"StudyInstanceUID": "=series/mr_prostate_adc/000000.dcm",
         "RequestAttributesSequence.RequestedProcedureID": "10139735"},
        lambda d: "10139735" in item(d, "RequestAttributesSequence", "RequestedProcedureID"), 1,
    ),
    # --- the lower levels, both roots ---
    Question(
        "series of a study", "SERIES", {"StudyInstanceUID": "=fileset/98892003/MR1/5641", "SeriesInstanceUID": ""},
        lambda d: text(d, "StudyTime") == "045357", 3,
    ),
    Question(
        "series by modality", "SERIES",
        {"PatientID": "77654033", "StudyInstanceUID": "=fileset/77654033/CR1/6154", "Modality": "CR"},
        lambda d: text(d, "Modality") == "CR" and text(d, "PatientID") == "77654033", 3, root="P",
    ),
    Question(
        "series by number", "SERIES", {"StudyInstanceUID": "=fileset/98892003/MR1/5641", "SeriesNumber": "700"},
        lambda d: text(d, "SeriesNumber") == "700", 1,
    ),
    Question(
        "images of a series", "IMAGE",
        {"StudyInstanceUID": "=fileset/98892003/MR2/6273", "SeriesInstanceUID": "=fileset/98892003/MR2/6273",
         "SOPInstanceUID": ""},
        lambda d: text(d, "SeriesNumber") == "2" and text(d, "StudyTime") == "045357", 2,
    ),
    Question(
        "image by number", "IMAGE",
        {"PatientID": "98890234", "StudyInstanceUID": "=fileset/98892003/MR2/6273",
         "SeriesInstanceUID": "=fileset/98892003/MR2/6273", "InstanceNumber": "3"},
        lambda d: text(d, "SeriesNumber") == "2" and text(d, "StudyTime") == "045357"
        and text(d, "InstanceNumber") == "3", 1, root="P",
    ),
    Question(
        "image by SOP class", "IMAGE",
        {"StudyInstanceUID": "=dcmqi/sr.dcm", "SeriesInstanceUID": "=dcmqi/sr.dcm",
         "SOPClassUID": "1.2.840.10008.5.1.4.1.1.88.33"},
        lambda d: text(d, "SOPClassUID") == "1.2.840.10008.5.1.4.1.1.88.33", 1,
    ),
)  # fmt: skip
