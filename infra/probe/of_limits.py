"""
What headers and refusals show of Aurora's limits, and of the API's version.
"""

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from infra.probe.exchange import Exchange
from infra.probe.record import (
    Found,
    Reader,
    Record,
    contradicted,
    seen,
    undetermined,
)

MINUTE_LIMIT = 90
MINUTE = 60
# The IETF's draft "RateLimit header fields for HTTP", in its newer form and the one before.
POLICIES = (re.compile(r"\bq=(\d+);\s*w=(\d+)"), re.compile(r"\b(\d+);\s*w=(\d+)"))


def limit_of(exchange: Exchange) -> int:
    """
    Return the calls a minute that an answer's headers name, or 0.
    """
    text = " ".join(
        value for name, value in exchange.headers.items() if "ratelimit" in name.lower()
    )
    for policy in POLICIES:
        if found := [int(calls) for calls, window in policy.findall(text) if int(window) == MINUTE]:
            return min(found)
    return 0


def _rate_limit(record: Record) -> Found:
    listed = record["list"]
    if limit := limit_of(listed):
        return (seen if limit == MINUTE_LIMIT else contradicted)(f"{limit} a minute", listed)
    named = [name for name in listed.header_names if "ratelimit" in name.lower()]
    if named:
        return undetermined(f"{', '.join(named)} names no minute", listed)
    return undetermined("no header names a limit", listed)


def _generate_limit(record: Record) -> Found:
    for name in ("generate-unknown", "generate", "generate-again"):
        refused, after = record[name], record[f"after-429-to-{name}"]
        wait = _retry_seconds(refused)
        # A limit of the whole key would refuse every call until then; whole seconds round up.
        if refused.limited and after.ok and after.ended - refused.ended + 1 < wait:
            found = "429 to generate alone: the list was answered meanwhile"
            return contradicted(found, refused, after)
        own = limit_of(refused)
        if own and limit_of(record["list"]) and own != limit_of(record["list"]):
            return contradicted(f"{own} generates a minute", record["list"], refused)
    return undetermined("no limit apart was met", record["generate"])


def _retry_after(record: Record) -> Found:
    refused = [each for each in record.exchanges.values() if each.limited]
    if not refused:
        return undetermined("no 429 was met")
    text = refused[0].header("Retry-After")
    if text is None:
        return contradicted("there is none", refused[0])
    if text.isdecimal():
        return seen("whole seconds", refused[0])
    form = "another form"
    if re.fullmatch(r"\d+\.\d+", text):
        form = "seconds with a fraction"
    elif re.match(r"[A-Z][a-z]{2}, ", text):
        form = "an HTTP date"
    return contradicted(form, refused[0])


def _retry_seconds(refused: Exchange) -> float:
    """
    Return how long Aurora wants a pause, or 0 where it does not say so.
    """
    text = refused.header("Retry-After") or ""
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    try:
        return parsedate_to_datetime(text).timestamp() - refused.ended
    except ValueError:
        return 0


def _version(record: Record) -> Found:
    name, _ = record.version_header
    if not name:
        return undetermined("no header of an answer names one version", record["list"])
    unknown, known = record["version-unknown"], record["version-known"]
    if unknown.refused and known.ok:
        return seen(f"{name}: another version is refused with {unknown.status}", unknown, known)
    if unknown.ok:
        return undetermined(f"{name} changes nothing that was looked at", unknown)
    return undetermined(f"{name}: the answers do not tell", unknown, known)


READERS: Mapping[str, Reader] = {
    "rate-limit": _rate_limit,
    "generate-limit": _generate_limit,
    "retry-after": _retry_after,
    "version": _version,
}
