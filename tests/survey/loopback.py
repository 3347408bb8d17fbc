"""A scope of the loopback that is in a hurry."""

from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

from leadglass.survey.scope import today


def write_scope(path: Path, ports: Iterable[int], level: int = 2) -> Path:
    """Write a scope file of some ports of 127.0.0.1, in force, with next to no pauses; gives its path."""
    day = today()
    path.write_text(
        f'[survey]\nowner = "Clinic"\ncontact = "tel. 4711"\nauthorised_by = "the head of IT"\nlevel = {level}\n'
        f"valid_from = {day - timedelta(days=1)}\nvalid_until = {day + timedelta(days=2)}\n"
        f'[scope]\nnetworks = ["127.0.0.1/32"]\nports = {list(ports)}\n'
        "[rate]\nconnections_per_second = 1000\nseconds_between = 0\n"
    )
    return path
