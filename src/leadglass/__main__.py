"""``leadglass``, and ``python -m leadglass``."""

import sys

from leadglass.doors.cli.application import Application
from leadglass.doors.cli.main import run


def main() -> None:
    """Run the command line and end with its exit code."""
    sys.exit(run(sys.argv[1:], _application))


def _application() -> Application:
    """Make the application when a command needs it: a help text answers before all parts are loaded."""
    from leadglass.app import App  # the reason is above

    return App()


if __name__ == "__main__":
    main()
