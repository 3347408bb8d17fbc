"""The build hook: wheels, source distributions and editable installs get the viewer and htmx, prepared.

Rule: npm is asked for only when there is something to prepare, and a wheel that
brings npm is wanted only where the machine has none.
"""

import os
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

sys.path.insert(0, str(Path(__file__).parent))

from vendoring.packages import WHEEL, machine_has_npm
from vendoring.prepare import prepare, prepared


class VendoringHook(BuildHookInterface[Any]):
    """Prepares what we ship of others before files are collected."""

    def dependencies(self) -> list[str]:
        """Say what a build in isolation must bring: npm, where it is needed and lacks."""
        return [] if machine_has_npm() or prepared(Path(self.root)) else [WHEEL]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - the interface's
        """Prepare, or stop the build."""
        prepare(Path(self.root), os.environ)
