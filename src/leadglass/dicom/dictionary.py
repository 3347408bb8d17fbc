"""The data dictionary of the Standard (PS3.6), read from pydicom's tables at first use.

Rule: the tables are pydicom's, not a copy. They are loaded from their own two
files, so that a server need not import pydicom (and with it numpy) to read a
header.
"""

import importlib
import importlib.util
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import cast

_Entry = tuple[str, str, str, str, str]


def _table(name: str) -> ModuleType:
    """Load one of pydicom's table modules without its package; with it where the layout differs."""
    package = importlib.util.find_spec("pydicom")
    if package is not None and package.submodule_search_locations:
        path = Path(package.submodule_search_locations[0]) / f"{name}.py"
        spec = importlib.util.spec_from_file_location(f"leadglass_table{name}", path)
        if path.is_file() and spec is not None and spec.loader is not None:
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            return module
    return importlib.import_module(f"pydicom.{name}")


@cache
def elements() -> dict[int, _Entry]:
    """Give the elements of PS3.6 by tag: VR, VM, name, retired, keyword."""
    return cast("dict[int, _Entry]", _table("_dicom_dict").DicomDictionary)


@cache
def repeaters() -> tuple[tuple[int, int, _Entry], ...]:
    """Give the repeating groups (50xx, 60xx, …) as mask, masked tag and entry."""
    found: list[tuple[int, int, _Entry]] = []
    for pattern, entry in cast("dict[str, _Entry]", _table("_dicom_dict").RepeatersDictionary).items():
        mask = int("".join("0" if digit == "x" else "F" for digit in pattern), 16)
        found.append((mask, int(pattern.replace("x", "0"), 16), entry))
    return tuple(found)


@cache
def uids() -> dict[str, tuple[str, str, str, str, str]]:
    """Give the UIDs of PS3.6 Annex A: name, type, info, retired, keyword."""
    return cast("dict[str, tuple[str, str, str, str, str]]", _table("_uid_dict").UID_dictionary)


def entry(tag: int) -> _Entry | None:
    """Give the dictionary's entry of a public tag; None when it has none."""
    found = elements().get(tag)
    if found is not None:
        return found
    for mask, value, repeated in repeaters():
        if tag & mask == value:
            return repeated
    return None


def vr(tag: int) -> str:
    """Give the VR, or VRs (``US or SS``), of a tag as Implicit VR readers need it.

    Group lengths are UL, private creators LO (PS3.5 section 7.8.1); what is
    not known is UN.
    """
    if not tag & 0xFFFF:
        return "UL"
    if tag & 0x10000:
        return "LO" if 0x10 <= tag & 0xFFFF <= 0xFF else "UN"
    found = entry(tag)
    return found[0] if found is not None and found[0] != "NONE" else "UN"


@cache
def _tags() -> dict[str, int]:
    return {entry[4]: tag for tag, entry in elements().items() if entry[4]}


def tag_of(keyword: str) -> int | None:
    """Give the tag of a keyword; None when nothing has it. Repeating groups have no tag of their own."""
    return _tags().get(keyword)


def keyword(tag: int) -> str:
    """Give the keyword of a tag; eight hexadecimal digits when it has none."""
    found = entry(tag)
    return found[4] if found is not None and found[4] else f"{tag:08X}"


def uid_name(uid: str) -> str:
    """Give the name of a UID of the Standard; the UID itself when it is not of the Standard."""
    found = uids().get(uid)
    return found[0] if found is not None else uid
