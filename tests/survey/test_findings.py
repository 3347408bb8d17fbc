"""Findings: the ladder and how bad its rungs are."""

from ipaddress import ip_address

from hypothesis import given
from hypothesis import strategies as st

from leadglass.survey.findings import Exposure, Finding, Severity, severity_of
from leadglass.survey.scope import Vantage

ORDER = list(Severity)
FROM_FAR_TO_NEAR = [Vantage.INTERNET, Vantage.PARTNER, Vantage.INTERNAL]

exposures = st.sampled_from(Exposure)
vantages = st.sampled_from(Vantage)


def _bad(exposure: Exposure, vantage: Vantage, **how: bool) -> int:
    return ORDER.index(severity_of(exposure, vantage, **how))


@given(exposures, exposures, vantages, st.booleans(), st.booleans())
def test_further_up_the_ladder_is_never_less_bad(
    one: Exposure, other: Exposure, vantage: Vantage, in_clear: bool, default: bool
) -> None:
    low, high = sorted((one, other))
    how = {"in_clear": in_clear, "default_credential": default}
    assert _bad(low, vantage, **how) <= _bad(high, vantage, **how)


@given(exposures, st.booleans(), st.booleans())
def test_nearer_is_never_worse(exposure: Exposure, in_clear: bool, default: bool) -> None:
    bad = [_bad(exposure, each, in_clear=in_clear, default_credential=default) for each in FROM_FAR_TO_NEAR]
    assert bad == sorted(bad, reverse=True)


@given(exposures, vantages, st.booleans())
def test_in_the_clear_or_with_a_default_credential_is_never_less_bad(
    exposure: Exposure, vantage: Vantage, default: bool
) -> None:
    assert _bad(exposure, vantage, in_clear=True, default_credential=default) >= _bad(
        exposure, vantage, default_credential=default
    )
    assert _bad(exposure, vantage, default_credential=True) >= _bad(exposure, vantage)


def test_the_ends_of_the_scale() -> None:
    assert severity_of(Exposure.E5, Vantage.INTERNET) is Severity.CRITICAL
    assert severity_of(Exposure.E1, Vantage.INTERNAL) is Severity.INFO
    assert severity_of(Exposure.E2, Vantage.INTERNAL) is Severity.LOW
    assert severity_of(Exposure.E0, Vantage.INTERNET, in_clear=True, default_credential=True) is Severity.INFO
    assert severity_of(Exposure.E4, Vantage.INTERNAL, default_credential=True) is Severity.CRITICAL


def test_a_password_in_the_clear_is_one_worse_though_strangers_are_turned_away() -> None:
    asked = [severity_of(Exposure.E1, each, password_in_clear=True) for each in FROM_FAR_TO_NEAR]
    assert asked == [Severity.HIGH, Severity.MEDIUM, Severity.LOW]
    assert severity_of(Exposure.E2, Vantage.INTERNAL, in_clear=True, password_in_clear=True) is Severity.MEDIUM


def test_the_same_thing_found_again_has_the_same_id_whatever_became_of_it() -> None:
    def made(check: str = "a", port: int = 104, **more: object) -> Finding:
        said = {"title": "t", "exposure": Exposure.E1, "severity": Severity.INFO, "transport": "tcp"} | more
        return Finding(check=check, address=ip_address("192.0.2.1"), port=port, **said)  # pyright: ignore[reportArgumentType]

    assert made().id == made(title="u", exposure=Exposure.E5, severity=Severity.HIGH).id
    assert len({made().id, made(check="b").id, made(port=105).id, made(transport="tls").id}) == 4
