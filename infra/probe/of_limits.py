"""What headers and refusals show of Aurora's limits, and of the API's version."""

import re

from token_vendor.aurora_http import retry_after
from token_vendor.settings import MINUTE

from infra.probe.exchange import Exchange
from infra.probe.questions import Found, Record, question

MINUTE_LIMIT = 90
# The IETF's draft "RateLimit header fields for HTTP", in its newer form and the one before.
POLICIES = (re.compile(r"\bq=(\d+);\s*w=(\d+)"), re.compile(r"\b(\d+);\s*w=(\d+)"))
FORMS = {
    r"\d+": "whole seconds",
    r"\d+\.\d+": "seconds with a fraction",
    r"[A-Z][a-z]{2}, .*": "an HTTP date",
    r".*": "another form",
}


def limit_of(exchange: Exchange) -> int:
    """Return the calls a minute that an answer's headers name, or 0."""
    text = " ".join(
        value for name, value in exchange.headers.items() if "ratelimit" in name.lower()
    )
    for policy in POLICIES:
        if found := [int(calls) for calls, window in policy.findall(text) if int(window) == MINUTE]:
            return min(found)
    return 0


@question("rate-limit", "Aurora grants 90 requests a minute.")
def _rate_limit(record: Record) -> Found:
    listed = record["list"]
    if limit := limit_of(listed):
        return limit == MINUTE_LIMIT, f"{limit} a minute", listed
    named = [name for name in listed.header_names if "ratelimit" in name.lower()]
    told = f"{', '.join(named)} names no minute" if named else "no header names a limit"
    return None, told, listed


@question("generate-limit", "generate_token has no limit apart from the key's.")
def _generate_limit(record: Record) -> Found:
    of_key = limit_of(record["list"])
    for name in ("generate", "generate-again"):
        refused, after = record[name], record[f"after-429-to-{name}"]
        asked = refused.header("Retry-After")
        # A limit of the whole key would refuse every call until then; whole seconds round up.
        wait = retry_after(asked, refused.ended) if asked else 0
        if refused.limited and after.ok and after.ended - refused.ended + 1 < wait:
            found = "429 to generate alone: the list was answered meanwhile"
            return False, found, refused, after
        own = limit_of(refused)
        if own and of_key and own != of_key:
            return False, f"{own} generates a minute", record["list"], refused
    return None, "no limit apart was met", record["generate"]


@question("retry-after", "Retry-After is a whole number of seconds.")
def _retry_after(record: Record) -> Found:
    refused = next((each for each in record.exchanges.values() if each.limited), None)
    if refused is None:
        return None, "no 429 was met"
    text = refused.header("Retry-After")
    if text is None:
        return False, "there is none", refused
    form = next(form for pattern, form in FORMS.items() if re.fullmatch(pattern, text))
    return form == "whole seconds", form, refused


@question("version", "A header of the request pins the API's version.")
def _version(record: Record) -> Found:
    name, _ = record.version_header
    if not name:
        return None, "no header of an answer names one version", record["list"]
    unknown, known = record["version-unknown"], record["version-known"]
    if unknown.refused and known.ok:
        return True, f"{name}: another version is refused with {unknown.status}", unknown, known
    if unknown.ok:
        return None, f"{name} changes nothing that was looked at", unknown
    return None, f"{name}: the answers do not tell", unknown, known
