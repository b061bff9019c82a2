"""
Run the local stack, sign a person in at the one that runs, or end it.

    python -m infra.local run
    python -m infra.local login EMAIL
    python -m infra.local stop
"""

import argparse
import json
import os
import sys
from pathlib import Path

from infra.local import lock
from infra.local.processes import LocalStackError
from infra.local.sign_in import sign_in
from infra.terminal import replace_what_it_cannot_show

DIRECTORY = Path(".local")
LOCK = DIRECTORY / "lock"


def main() -> None:
    """Carry out the command line; what goes wrong is said in words and ends with exit code 1."""
    replace_what_it_cannot_show()
    parser = argparse.ArgumentParser(prog="python -m infra.local", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("run", help="start everything and stay until Ctrl-C")
    commands.add_parser("stop", help="end the stack that runs in this folder")
    login = commands.add_parser("login", help="print a fresh ID token")
    login.add_argument("email")
    arguments = parser.parse_args()
    # A profile of the developer's has no business here, and boto3 refuses one that does not exist.
    for variable in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE"):
        os.environ.pop(variable, None)
    try:
        if arguments.command == "login":
            print(sign_in(_outputs()["issuer"], arguments.email))
        elif arguments.command == "stop":
            print(f"stopped process {lock.end(LOCK)}; nothing is left running")
        else:
            from infra.local.run import run  # noqa: PLC0415 - The others need none of it.

            with lock.held(LOCK):
                run(DIRECTORY)
    except LocalStackError as exc:
        print(exc, file=sys.stderr)
        sys.exit(1)


def _outputs() -> dict[str, str]:
    file = DIRECTORY / "outputs.json"
    if not file.exists():
        raise LocalStackError(
            f"No local stack runs here ({file} is absent): start it with make run"
        )
    outputs: dict[str, str] = json.loads(file.read_text())
    return outputs


if __name__ == "__main__":
    main()
