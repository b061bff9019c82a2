"""The command `token-vendor`: a thin start, because the imports of the rest take a second."""

import sys

from infra.operator.exits import INTERRUPTED


def main() -> None:
    """Run the command line; Ctrl-C while it still loads ends it without a traceback."""
    try:
        from infra.operator import cli, commands  # noqa: PLC0415 - This is what takes the second.

        commands.run(cli.app)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
