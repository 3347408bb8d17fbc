import pytest

from leadglass.errors import Misconfigured
from leadglass.identity.oidc_mapping import RoleMapping, Standing
from leadglass.policy.roles import Role
from leadglass.policy.scope import Field, Scope


def test_while_nothing_is_named_everybody_is_nobody() -> None:
    assert RoleMapping().standing(["admin", "admins", "leadglass-admin", ""]) is None
    assert RoleMapping.parse([]).standing([]) is None


def test_groups_are_taken_by_the_letter() -> None:
    mapping = RoleMapping.parse(["Readers -> radiologist"])
    assert mapping.standing(["Readers"]) == Standing(Role.RADIOLOGIST, None)
    for group in ("readers", "Readers ", "Reader", "*", "/Readers"):
        assert mapping.standing([group]) is None


def test_the_first_line_that_fits_names_the_role() -> None:
    mapping = RoleMapping.parse(["a -> auditor", "b -> admin"])
    assert mapping.standing(["b", "a"]) == Standing(Role.AUDITOR, None)
    assert mapping.standing(["b"]) == Standing(Role.ADMIN, None)


def test_scopes_of_one_role_unite_and_those_of_others_do_not() -> None:
    mapping = RoleMapping.parse(
        ["a -> referrer label=a", "b -> referrer 'label=with space' patient=1", "c -> service all", "d -> referrer"]
    )
    assert mapping.standing(["a", "b", "c"]) == Standing(
        Role.REFERRER, Scope.where(Field.LABEL, "a", "with space") | Scope.patients("1")
    )
    assert mapping.standing(["d", "a"]) == Standing(Role.REFERRER, Scope.where(Field.LABEL, "a"))
    assert mapping.standing(["d"]) == Standing(Role.REFERRER, None)


def test_a_group_may_be_a_name_of_a_directory() -> None:
    group = "CN=PACS Readers,OU=Groups,DC=example,DC=test"
    assert RoleMapping.parse([f"{group} -> radiologist"]).standing([group]) is not None


@pytest.mark.parametrize(
    "line",
    ["", "a", "a radiologist", "a ->", "-> radiologist", "a -> king", "a -> referrer patient", "a -> admin all",
     "a -> referrer 'label=x"],
)  # fmt: skip
def test_a_line_that_cannot_be_read_is_named(line: str) -> None:
    with pytest.raises(Misconfigured, match="line 2"):
        RoleMapping.parse(["a -> auditor", line])
