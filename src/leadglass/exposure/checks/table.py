"""The table of all checks, in the order of the page."""

from typing import Final

from leadglass.exposure.checks import devices, keeping, machine, network, people, programs, trail, transport
from leadglass.exposure.finding import Check

CHECKS: Final[tuple[Check, ...]] = (
    *network.CHECKS,
    *transport.CHECKS,
    *devices.CHECKS,
    *people.CHECKS,
    *programs.CHECKS,
    *keeping.CHECKS,
    *trail.CHECKS,
    *machine.CHECKS,
)
"""Every check."""
