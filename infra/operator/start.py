"""
The command `token-vendor`: a thin start, because the imports of the rest take a second.
"""

import sys

INTERRUPTED = 130
"""The exit code of a command that ended on Ctrl-C, as shells have it."""


def main() -> None:
    """
    Run the command line; Ctrl-C while it still loads ends it without a traceback.
    """
    try:
        from infra.operator import cli  # noqa: PLC0415 - This is what takes the second.

        cli.main()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
