"""What a configuration of Orthanc would expose: one file, all files of a folder, or a container's environment."""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Final, cast

from leadglass.errors import BadInput
from leadglass.survey.config_found import Audit
from leadglass.survey.findings import Exposure

CHECKS: Final = (
    "config-orthanc-open",
    "config-orthanc-clear",
    "config-orthanc-lua",
    "config-orthanc-default",
    "config-orthanc-strangers",
    "config-orthanc-store",
    "config-orthanc-titles",
)

# A text or a comment that does not end is one to the end of the file: nothing is looked through twice.
_COMMENTS: Final = re.compile(r'("(?:[^"\\]++|\\.)*+"?)|/\*(?:[^*]++|\*(?!/))*+(?:\*/)?|//[^\n]*+', re.DOTALL)
_TRAILING: Final = re.compile(r'("(?:[^"\\]++|\\.)*+"?)|,(?=\s*+[}\]])', re.DOTALL)

_DEFAULT_PAIRS: Final = frozenset(
    {("orthanc", "orthanc"), ("demo", "demo"), ("admin", "admin"), ("alice", "alicePassword"), ("admin", "password")}
)
"""What is printed in handbooks and tutorials."""

_KEYS: Final = (
    "RemoteAccessAllowed", "HttpServerEnabled", "AuthenticationEnabled", "SslEnabled", "ExecuteLuaEnabled",
    "RegisteredUsers", "DicomServerEnabled", "DicomTlsEnabled", "DicomAlwaysAllowFind",
    "DicomAlwaysAllowFindWorklist", "DicomAlwaysAllowGet", "DicomAlwaysAllowMove", "DicomAlwaysAllowStore",
    "DicomCheckModalityHost",
)  # fmt: skip
_FROM_ENVIRONMENT: Final = {re.sub(r"(?<!^)(?=[A-Z])", "_", key).upper(): key for key in _KEYS}
_PREFIX: Final = "ORTHANC__"


def read(text: str, name: str) -> dict[str, object]:
    """Read one file, with the comments and last commas that Orthanc allows.

    Raises
    ------
    BadInput
        With the file and the line where it is broken.
    """
    plain = _COMMENTS.sub(lambda found: found[1] or "\n" * found[0].count("\n") or " ", text)
    plain = _TRAILING.sub(lambda found: found[1] or " ", plain)
    try:
        said: object = json.loads(plain)
    except json.JSONDecodeError as error:
        raise BadInput(
            f"{name}, line {error.lineno}: this is not JSON. Orthanc would not start with it either."
        ) from None
    except (ValueError, RecursionError):
        raise BadInput(f"{name}: this is not JSON. Orthanc would not start with it either.") from None
    if not isinstance(said, dict):
        raise BadInput(f"{name}, line 1: a configuration of Orthanc is a JSON object.")
    return cast("dict[str, object]", said)


def merged(files: Iterable[Mapping[str, object]]) -> dict[str, object]:
    """Give what several files come to, as Orthanc reads those of a folder: objects of the same name are one."""
    said: dict[str, object] = {}
    for each in files:
        for key, value in each.items():
            before = said.get(key)
            if isinstance(before, dict) and isinstance(value, dict):
                said[key] = {**cast("dict[str, object]", before), **cast("dict[str, object]", value)}
            else:
                said[key] = value
    return said


def from_environment(environment: Mapping[str, str]) -> dict[str, object]:
    """Give what the variables ``ORTHANC__…`` of a container come to, as Orthanc's images read them."""
    said: dict[str, object] = {}
    for name, value in environment.items():
        rest = name.upper().removeprefix(_PREFIX)
        if rest == name.upper():
            continue
        key, _, user = rest.partition("__")
        known = _FROM_ENVIRONMENT.get(key)
        if known is None:
            continue
        if known == "RegisteredUsers" and user:
            users = said.setdefault(known, {})
            if isinstance(users, dict):
                users[user.lower()] = value
            continue
        try:
            said[known] = json.loads(value)
        except (ValueError, RecursionError):
            said[known] = value
    return said


def audit(said: Mapping[str, object], made: Audit) -> None:
    """Say what it would expose."""
    users = said.get("RegisteredUsers")
    _web(said, cast("Mapping[str, object]", users) if isinstance(users, dict) else None, made)
    _dicom(said, made)


def _web(said: Mapping[str, object], users: Mapping[str, object] | None, made: Audit) -> None:
    in_clear = said.get("SslEnabled") is not True
    _users(said, users, made)
    if said.get("RemoteAccessAllowed") is not True or said.get("HttpServerEnabled") is False:
        return
    if said.get("AuthenticationEnabled") is False:
        made.report(
            "config-orthanc-open",
            Exposure.E4,
            "Orthanc's web side would be open to anybody, to read and to delete.",
            {"RemoteAccessAllowed": "true", "AuthenticationEnabled": "false"},
            fixes=("web-require-login", "config-secure"),
            in_clear=in_clear,
        )
    if in_clear:
        made.report(
            "config-orthanc-clear",
            Exposure.E1,
            "Passwords and images would cross the network in the clear.",
            {"SslEnabled": "false or not set"},
            fixes=("web-require-tls",),
        )
    if said.get("ExecuteLuaEnabled") is True:
        made.report(
            "config-orthanc-lua",
            Exposure.E4,
            "Whoever reaches Orthanc's web side could run programs of theirs on this machine.",
            {"ExecuteLuaEnabled": "true"},
        )


def _users(said: Mapping[str, object], users: Mapping[str, object] | None, made: Audit) -> None:
    """Count weak passwords; Debian keeps them in a file of their own, which says nothing else."""
    if said.get("RemoteAccessAllowed") is False or said.get("AuthenticationEnabled") is False:
        return
    if not users and said.get("RemoteAccessAllowed") is True:
        made.report(
            "config-orthanc-default",
            Exposure.E4,
            "Nobody is registered: Orthanc would make a user of its own, with the password that handbooks print.",
            {"RegisteredUsers": 0},
            fixes=("default-passwords",),
            is_default=made.is_whole,
            inferred=not made.is_whole,
            not_tested=() if made.is_whole else ("Whether another file of its folder registers somebody.",),
        )
        return
    weak = sum(
        1
        for user, secret in (users or {}).items()
        if not secret or (isinstance(secret, str) and (user, secret) in _DEFAULT_PAIRS)
    )
    if weak:
        made.report(
            "config-orthanc-default",
            Exposure.E4,
            "Blank passwords, or some that handbooks print, would open Orthanc.",
            {"RegisteredUsers": len(users or {}), "blank or default": weak},
            fixes=("default-passwords",),
            is_default=True,
        )


def _dicom(said: Mapping[str, object], made: Audit) -> None:
    is_spoken_of = made.is_whole or any(name.startswith("Dicom") for name in said)
    if said.get("DicomServerEnabled") is False or not is_spoken_of:
        return  # switched off, or one of several files, in which DICOM is not spoken of
    in_clear = said.get("DicomTlsEnabled") is not True
    allowed = {
        "DicomAlwaysAllowFind": Exposure.E3,
        "DicomAlwaysAllowFindWorklist": Exposure.E3,
        "DicomAlwaysAllowGet": Exposure.E4,
        "DicomAlwaysAllowMove": Exposure.E4,
    }
    given = {name: rung for name, rung in allowed.items() if said.get(name) is True}
    if given:
        made.report(
            "config-orthanc-strangers",
            max(given.values()),
            "Orthanc would answer the questions of callers that nobody registered.",
            dict.fromkeys(given, "true"),
            fixes=("dicom-know-your-callers", "config-secure"),
            in_clear=in_clear,
        )
    if said.get("DicomAlwaysAllowStore") is not False:
        made.report(
            "config-orthanc-store",
            Exposure.E4,
            "Anybody could put images into Orthanc.",
            {"DicomAlwaysAllowStore": "true or not set"},
            fixes=("dicom-know-your-callers", "config-secure"),
            in_clear=in_clear,
        )
    if said.get("DicomCheckModalityHost") is not True:
        made.report(
            "config-orthanc-titles",
            Exposure.E2,
            "Callers would be known by their AE titles alone, which anybody can give.",
            {"DicomCheckModalityHost": "false or not set", "DicomTlsEnabled": "no" if in_clear else "yes"},
            fixes=("dicom-tls", "dicom-know-your-callers"),
            in_clear=in_clear,
        )
