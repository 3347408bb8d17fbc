"""``leadglass``, and ``python -m leadglass``."""

import sys

from leadglass.app import App
from leadglass.doors.cli.main import run


def main() -> None:
    """Run the command line and end with its exit code."""
    sys.exit(run(sys.argv[1:], App()))


if __name__ == "__main__":
    main()
