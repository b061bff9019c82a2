"""How commands end: what each exit code means, and which failure ends with which."""

import sys

DONE, FAILED, USAGE, UNREACHABLE, INTERRUPTED = 0, 1, 2, 3, 130
"""130 is Ctrl-C, as shells have it."""


class OperatorError(Exception):
    """Something that the operator has to know, in one line."""

    code = FAILED


class UsageError(OperatorError):
    """What was typed cannot be meant."""

    code = USAGE


class NotDeployedError(OperatorError):
    """The stage has no stack that could be asked, or AWS or Aurora cannot be reached."""

    code = UNREACHABLE


def told(error: Exception) -> tuple[str, int] | None:
    """Return a failure in one line with its exit code, or None for what is a fault of ours."""
    if isinstance(error, OperatorError):
        return str(error), error.code
    # Who raised one of these has imported it: asking costs nothing where nobody did.
    for module, name, line in (
        ("botocore.exceptions", "ClientError", message),
        ("botocore.exceptions", "BotoCoreError", str),
        ("token_vendor.problems", "ProblemError", lambda problem: problem.cause or problem.detail),
    ):
        kind = getattr(sys.modules.get(module), name, None)
        if kind and isinstance(error, kind):
            return line(error), UNREACHABLE
    return None


def message(error: Exception) -> str:
    """Return AWS's own words, without the name of the call around them."""
    response = getattr(error, "response", {})
    return str(response.get("Error", {}).get("Message") or error)
