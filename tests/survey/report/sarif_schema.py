"""What a report of ours may say in SARIF 2.1.0, as a JSON schema: nothing but what the Standard names, with its words.

Sections are of OASIS "Static Analysis Results Interchange Format (SARIF) Version 2.1.0".
"""

from typing import Final


def _object(properties: dict[str, object], *required: str) -> dict[str, object]:
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


_TEXT: Final = {"type": "string", "minLength": 1}
_BAG: Final = {"type": "object", "properties": {"tags": {"type": "array", "items": _TEXT, "uniqueItems": True}}}
"""3.8: a property bag may have anything; tags are texts, each once."""

_MESSAGE: Final = _object({"text": _TEXT, "markdown": _TEXT}, "text")
"""3.11 and 3.12: plain text is there wherever formatted text is."""

_LEVEL: Final = {"enum": ["none", "note", "warning", "error"]}
"""3.27.10."""

_MOMENT: Final = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$"}
"""3.9: in UTC."""

_RULE: Final = _object(
    {
        "id": _TEXT,
        "name": _TEXT,
        "shortDescription": _MESSAGE,
        "fullDescription": _MESSAGE,
        "help": _MESSAGE,
        "defaultConfiguration": _object({"level": _LEVEL}),
        "properties": _BAG,
    },
    "id",
)
"""3.49, a reportingDescriptor."""

_LOCATION: Final = _object(
    {
        "physicalLocation": _object(
            {
                "artifactLocation": _object({"uri": {"type": "string", "format": "uri-reference"}}),
                "region": _object({"startLine": {"type": "integer", "minimum": 1}}),
            }
        ),
        "logicalLocations": {"type": "array", "items": _object({"fullyQualifiedName": _TEXT, "kind": _TEXT})},
    }
)
"""3.28, 3.29, 3.30, 3.33."""

_RESULT: Final = _object(
    {
        "ruleId": _TEXT,
        "ruleIndex": {"type": "integer", "minimum": -1},
        "kind": {"enum": ["notApplicable", "pass", "fail", "review", "open", "informational"]},
        "level": _LEVEL,
        "message": _MESSAGE,
        "locations": {"type": "array", "items": _LOCATION},
        "partialFingerprints": {"type": "object", "additionalProperties": _TEXT},
        "baselineState": {"enum": ["new", "unchanged", "updated", "absent"]},
        "suppressions": {
            "type": "array",
            "uniqueItems": True,
            "items": _object(
                {
                    "kind": {"enum": ["inSource", "external"]},
                    "status": {"enum": ["accepted", "underReview", "rejected"]},
                    "justification": _TEXT,
                },
                "kind",
            ),
        },
        "properties": _BAG,
    },
    "message",
)
"""3.27; a level other than none is for what fails (3.27.9), which the test looks at."""

_RUN: Final = _object(
    {
        "tool": _object(
            {
                "driver": _object(
                    {"name": _TEXT, "version": _TEXT, "rules": {"type": "array", "items": _RULE, "uniqueItems": True}},
                    "name",
                )
            },
            "driver",
        ),
        "automationDetails": _object({"id": _TEXT}),
        "invocations": {
            "type": "array",
            "items": _object(
                {"executionSuccessful": {"type": "boolean"}, "startTimeUtc": _MOMENT, "endTimeUtc": _MOMENT},
                "executionSuccessful",
            ),
        },
        "columnKind": {"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
        "results": {"type": "array", "items": _RESULT},
    },
    "tool",
)
"""3.14, 3.18, 3.19, 3.17, 3.20."""

SCHEMA: Final = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    **_object(
        {
            "$schema": {"type": "string", "format": "uri"},
            "version": {"const": "2.1.0"},
            "runs": {"type": "array", "items": _RUN},
        },
        "version",
        "runs",
    ),
}
"""3.13."""
