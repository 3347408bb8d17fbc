import os
import pwd

import pytest

from leadglass.identity.os_user import command_line_caller
from leadglass.policy.action import Action
from leadglass.policy.permit import decide
from leadglass.policy.scope import Scope


def test_the_command_line_is_the_operating_systems_user_with_every_right() -> None:
    caller = command_line_caller()
    assert str(caller) == f"cli:{pwd.getpwuid(os.geteuid()).pw_name}"
    assert caller.peer == "local"
    for action in Action:
        assert decide(caller, action).scope == Scope.everything()


def test_the_environment_does_not_say_who_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("USER", "LOGNAME", "SUDO_USER"):
        monkeypatch.setenv(name, "somebody-else")
    assert "somebody-else" not in repr(command_line_caller())


def test_a_number_without_a_name_is_a_user_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 4_000_000_000)
    caller = command_line_caller()
    assert caller.name == "uid-4000000000"
    assert "started by" in caller.evidence
