"""The Aurora API key: the value of a secret, cached, and read again once after a 401."""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from token_vendor.observability import Metric, logger, recorder
from token_vendor.problems import AuroraKeyRejectedError, AuroraUnavailableError
from token_vendor.settings import Settings

if TYPE_CHECKING:
    from types_boto3_secretsmanager.client import SecretsManagerClient

ENVIRONMENT_TAGS = {"sandbox": "sand", "production": "prod"}
"""How a key's prefix (`sk_sand_…`, `rk_prod_…`) names its environment, as Aurora documents it."""
ALONE = "put in the key alone, as text"
ALMOST = {
    r"\ufeff": "the secret begins with a byte order mark",
    r"\{": "the secret is JSON",
    r"[\"'“”]": "the Aurora API key is in quotes",
    r"bearer\b|authorization\b": "the secret is a header, not a key",
}
"""How a secret is almost right, and how to say so."""
REREAD_PAUSE = 5
"""Seconds between two readings for a rejected key: many 401s at once cause one reading."""


class ApiKey:
    """
    Hold the key for one environment of Aurora.

    `make_client` is called at the first use: a stored token is vended without Secrets Manager.
    """

    def __init__(
        self,
        make_client: Callable[[], "SecretsManagerClient"],
        settings: Settings,
        *,
        clock: Callable[[], float],
    ) -> None:
        self._make_client = make_client
        self._client: SecretsManagerClient | None = None
        self._settings = settings
        self._clock = clock
        self._value = ""
        self._read_at = 0.0
        self._reread_at = 0.0

    def current(self) -> str:
        """
        Return the key, at most `api_key_ttl` old, or older if Secrets Manager does not answer.

        Raises `AuroraKeyRejectedError` for a secret without a key of this environment.
        """
        if not self._value or self._clock() - self._read_at > self._settings.api_key_ttl:
            try:
                self._read()
            except AuroraUnavailableError as problem:
                if not self._value:
                    raise
                # If the key is no longer good, Aurora answers 401, and it is read again.
                self._read_at = self._clock()
                logger.warning("went on with the API key in memory", extra={"cause": problem.cause})
        return self._value

    def after_rejection(self, rejected: str) -> str | None:
        """Return the key that replaced the `rejected` one, or None if it still is the same."""
        # The pause is counted between such readings alone: a key may change just after it was read
        # for the first time.
        if self._value == rejected and self._clock() - self._reread_at > REREAD_PAUSE:
            self._reread_at = self._clock()
            recorder.count(Metric.KEY_REREAD)
            self._read()
        return self._value if self._value != rejected else None

    def _read(self) -> None:
        try:
            self._client = self._client or self._make_client()
            answer = self._client.get_secret_value(SecretId=self._settings.aurora_secret_arn)
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "")
            if code in {"ResourceNotFoundException", "AccessDeniedException", "DecryptionFailure"}:
                raise AuroraKeyRejectedError(
                    cause=f"the secret of the Aurora API key has no readable value: {error}"
                ) from error
            raise AuroraUnavailableError(cause=f"Secrets Manager: {error}") from error
        except BotoCoreError as error:
            raise AuroraUnavailableError(cause=f"Secrets Manager: {error}") from error
        if "SecretBinary" in answer:
            raise AuroraKeyRejectedError(cause=f"the secret is binary: {ALONE}")
        value = answer.get("SecretString", "").strip()
        if problem := why_unusable(value, self._settings.aurora_environment):
            raise AuroraKeyRejectedError(cause=problem)
        if not value.startswith(("sk_", "rk_")):
            logger.warning("the Aurora API key has no known prefix")
        self._value = value
        self._read_at = self._clock()


def why_unusable(key: str, environment: str) -> str:
    """Say why `key` cannot work in `environment`, or return an empty string."""
    if not key:
        return "the secret of the Aurora API key is empty: run `token-vendor set-api-key`"
    for wrong, what in ALMOST.items():
        if re.match(wrong, key, re.IGNORECASE):
            return f"{what}: {ALONE}"
    if not key.isascii() or not key.isprintable() or " " in key:
        return "the Aurora API key holds characters that no key has"
    kind, _, rest = key.partition("_")
    tag = rest.partition("_")[0]
    if kind in {"sk", "rk"} and tag in ENVIRONMENT_TAGS.values():
        expected = ENVIRONMENT_TAGS[environment]
        if tag != expected:
            return f"the Aurora API key is of the other environment: {tag}, not {expected}"
    return ""
