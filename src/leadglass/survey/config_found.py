"""What an audit of configuration files found: made here, so that no value of a file gets into it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from leadglass.survey.findings import Exposure, Finding, severity_of
from leadglass.survey.scope import Vantage

_CONTROLS: Final = (
    "PS3.15 B.12",
    "HIPAA 164.312(a)(1)",
    "HIPAA 164.312(d)",
    "GDPR 32(1)(b)",
    "NIST CSF PR.PS-01",
    "IEC 80001-2-2 CNFS",
)
_NOT_TESTED: Final = (
    "Whether this file is in force; nothing was sent.",
    "What a firewall or a proxy in front of it changes.",
)


@dataclass(slots=True)
class Audit:
    """What was found in the files of one thing.

    Parameters
    ----------
    vantage : Vantage
        From where it can be reached.
    is_whole : bool
        Whether these are all files that configure it.
    """

    vantage: Vantage
    is_whole: bool = False
    found: list[Finding] = field(default_factory=list[Finding])

    def report(
        self,
        check: str,
        exposure: Exposure,
        title: str,
        proof: Mapping[str, str | int],
        *,
        fixes: tuple[str, ...] = ("config-secure",),
        is_default: bool = False,
        inferred: bool = False,
        in_clear: bool = False,
        not_tested: tuple[str, ...] = (),
    ) -> None:
        """Report what a file would expose; keys by our tables and counts alone."""
        severity = severity_of(exposure, self.vantage, in_clear=in_clear, default_credential=is_default)
        self.found.append(
            Finding(
                check=check,
                address=None,
                port=0,
                transport="file",
                title=title,
                exposure=exposure,
                severity=severity,
                proof=proof,
                not_tested=(*not_tested, *_NOT_TESTED),
                fixes=fixes,
                controls=_CONTROLS,
                inferred=inferred,
            )
        )
