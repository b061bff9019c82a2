"""
The catalogue of RFC 9457 problems: one class per type, one root.

`detail` is for the caller and never holds a text of AWS or Aurora; `cause` is for
the log.  `retry_at` is set wherever waiting helps.
"""

from typing import Any, ClassVar, Self

from token_vendor.models import Turn

URN = "urn:problem:aurora-token-vendor:"


class ProblemError(Exception):
    """
    End the request with a problem that the caller can read.

    Args:
        detail: What to tell the caller about this very case.
        cause: What to write to the log about it.
        retry_at: When trying again makes sense, in seconds since the epoch.
        in_doubt: The operation at Aurora that may have happened although no usable answer came.
        turn: The place in the queue for Aurora that the caller keeps; `retry_at` is its time.

    """

    permanent: ClassVar[bool] = False
    """Waiting does not solve it; it lasts until Aurora's user list is read again."""
    ours: ClassVar[bool] = False
    """Nothing of Aurora's failed: our own limit, or our own table, stands in the way."""

    slug: ClassVar[str] = "internal-error"
    status: ClassVar[int] = 500
    title: ClassVar[str] = "Something went wrong on our side"
    detail: str = "The failure has been logged under this request's id."

    def __init__(
        self,
        detail: str | None = None,
        *,
        cause: str = "",
        retry_at: float | None = None,
        in_doubt: str = "",
        turn: Turn | None = None,
    ) -> None:
        super().__init__(cause or detail or self.title)
        self.detail = detail or type(self).detail
        self.cause = cause
        self.retry_at = turn.at if turn else retry_at
        self.in_doubt = in_doubt
        self.turn = turn

    def ending_at(self, moment: float | None) -> Self:
        """
        Return the same problem with another `retry_at`, and without a turn.

        A raised problem never changes.
        """
        return type(self)(self.detail, cause=self.cause, retry_at=moment, in_doubt=self.in_doubt)


class InternalError(ProblemError):
    """Anything that nobody foresaw."""


class InvalidRequestError(ProblemError):
    """The body is not what the contract says."""

    slug = "invalid-request"
    status = 400
    title = "The request is not valid"
    detail = "Send a JSON object with only the members replace, min_ttl and profile."


class CallerNotIdentifiedError(ProblemError):
    """The caller's token holds no usable verified e-mail."""

    slug = "caller-not-identified"
    status = 403
    title = "Your sign-in does not tell a verified e-mail address"
    detail = "Sign in with an account whose e-mail address is verified."


class UserNotEligibleError(ProblemError):
    """
    Aurora, or this service's configuration, has no place for the caller.

    If Aurora refused to generate, `if_active` is the problem where it says that the account is
    active: then it is nobody's fault who signs in.
    """

    permanent = True
    slug = "user-not-eligible"
    status = 403
    title = "You have no access to Aurora"
    detail = "Ask your Aurora administrator for access."

    def __init__(
        self, detail: str | None = None, *, if_active: ProblemError | None = None, **about: Any
    ) -> None:
        super().__init__(detail, **about)
        self.if_active = if_active


class InvitationPendingError(ProblemError):
    """The caller was invited at a level that must accept an e-mail first."""

    slug = "invitation-pending"
    status = 409
    title = "Accept Aurora's invitation first"
    detail = "Aurora has sent you an invitation by e-mail. Accept it, then try again."


class TooManyRenewalsError(ProblemError):
    """The caller asked to replace good tokens more often than the hourly cap."""

    slug = "too-many-renewals"
    status = 429
    title = "Too many new tokens in the last hour"
    detail = "Keep using the token that you have, or try again later."


class AuroraBusyError(ProblemError):
    """The shared request budget, or Aurora's own limit, has no room right now."""

    ours = True
    slug = "aurora-busy"
    status = 503
    title = "Many people are signing in right now"
    detail = "Your place in the queue is kept: try again at the time given."


class GeneratingStoppedError(ProblemError):
    """The operators have stopped generating; stored tokens are still vended."""

    slug = "generating-stopped"
    status = 503
    title = "New tokens are stopped for now"
    detail = "The operators of this service have stopped new tokens for a time. Try again later."


class AuroraUnavailableError(ProblemError):
    """Aurora refused, reset, or answered 5xx or 409 after retries."""

    slug = "aurora-unavailable"
    status = 503
    title = "Aurora is not available"
    detail = "Aurora could not be reached or could not answer. Try again later."


class AuroraTimeoutError(ProblemError):
    """Aurora gave no answer in time; what it did is unknown."""

    slug = "aurora-timeout"
    status = 504
    title = "Aurora did not answer in time"
    detail = "Try again later."


class AuroraInvalidResponseError(ProblemError):
    """Aurora answered with something that cannot be used."""

    slug = "aurora-invalid-response"
    status = 502
    title = "Aurora's answer could not be used"
    detail = "Try again later."


class AuroraKeyRejectedError(ProblemError):
    """The API key is missing, refused, or belongs to the other environment."""

    slug = "aurora-key-rejected"
    status = 502
    title = "This service is not set up correctly"
    detail = "The service's access to Aurora has to be set up by its operators."


class TokenStoreUnavailableError(ProblemError):
    """DynamoDB did not answer; going on to Aurora without it would stampede."""

    ours = True
    slug = "token-store-unavailable"
    status = 503
    title = "The token store is not available"
    detail = "Try again in a few seconds."


CATALOGUE: dict[str, type[ProblemError]] = {
    problem.slug: problem for problem in ProblemError.__subclasses__()
}
"""Every type of problem by its slug."""


def problem_of(slug: str, *, retry_at: float) -> ProblemError:
    """
    Return the problem that another request left for those after it, until `retry_at`.

    A slug that we do not know was written by another version of this program.
    """
    problem = CATALOGUE.get(slug, AuroraUnavailableError)
    return problem(
        cause="inherited from another request", retry_at=None if problem.permanent else retry_at
    )
