"""
The contract against the deployed stack: no undocumented answer, and no 5xx of our making.

schemathesis makes requests from infra/openapi.yaml: its examples, its borders, random bodies inside
and outside of its schemas, and chains along its links (vend, renew, forget, vend again). A case
takes about 20 ms, half of it in MiniStack, which runs one invocation at a time.

`make contract` makes 5,000, each time others. `make test` has none: there,
tests/tooling/test_openapi.py compares the contract with the handler.
"""

import itertools
import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
import yaml

from infra.build.lambda_asset import ROOT
from infra.fake_aurora.users import JESSICA, ROBERT
from tests.e2e.conftest import Running

Configure = Callable[..., None]

pytestmark = pytest.mark.nightly
CASES = int(os.environ.get("CONTRACT_CASES", "600"))
SEED = int(os.environ.get("CONTRACT_SEED", "1"))
REQUEST_TIMEOUT = 120
# A caller keeps asking for so many requests, so that the chains of the stateful phase are theirs.
STRETCH = 12
DOCUMENTED = (
    *("status_code_conformance", "content_type_conformance"),
    *("response_schema_conformance", "response_headers_conformance"),
)
# Every other check of schemathesis is off for a reason: `unsupported_method` wants 405 where every
# HTTP API of AWS answers 404; `use_after_free` and `ensure_resource_availability` take DELETE for
# the end of what POST makes, which here vends anew; `ignored_auth` and `missing_required_header`
# ask again for what test_local_stack.py says of each kind of bad token.
FAULTLESS = ("not_a_server_error", "positive_data_acceptance", "negative_data_rejection")
# Aurora's limit and our share of it: with them, everybody after the first is told to wait.
LIFTED = {"AURORA_RATE_LIMIT": "1000000", "REQUEST_RATE": "600000", "REQUEST_BURST": "1000"}
UNCAPPED = {"RENEWALS_PER_HOUR": "1000000"}
# Without 429, after which everybody waits, so that no other fault would be met.
FAULTS: list[dict[str, Any]] = [
    *({"kind": "status", "status": status} for status in (400, 401, 403, 404, 409, 500, 503)),
    *({"kind": kind} for kind in ("drop", "drop_after", "not_json", "missing_fields")),
    *({"kind": kind} for kind in ("corrupt_jwt", "expired_jwt", "other_user_jwt")),
    {"kind": "delay_after", "seconds": 0.5},
    {"kind": "none"},
]


class Report:
    """What a run sent, what came back, and what is wrong with it."""

    def __init__(self) -> None:
        self.sent: Counter[str] = Counter()
        self.answers: Counter[int] = Counter()
        self.vended: set[bytes] = set()
        self.renewed = 0
        self.wrong: list[str] = []

    def __str__(self) -> str:
        answers = ", ".join(f"{count} x {status}" for status, count in sorted(self.answers.items()))
        total, phases = self.sent.total(), dict(self.sent)
        return f"seed {SEED}: {total} cases {phases}, {self.renewed} renewed; {answers}"

    def add(self, scenario: Any) -> None:
        """Count what one scenario sent, and keep what its checks say."""
        recorder, phase = scenario.recorder, scenario.phase.value
        for interaction in recorder.interactions.values():
            self.sent[phase] += 1
            if interaction.response is None:
                self.wrong.append(f"{phase}: no answer to {interaction.request.uri}")
                continue
            self.answers[interaction.response.status_code] += 1
            if phase == "stateful" and interaction.response.status_code == 200:
                vended = json.loads(interaction.response.content)
                named = any(jti in (interaction.request.body or b"") for jti in self.vended)
                self.renewed += named and vended["source"] == "generated"
                self.vended.add(vended["token"]["jti"].encode())
        for check in itertools.chain.from_iterable(recorder.checks.values()):
            if check.failure_info:
                failure = check.failure_info
                self.wrong.append(
                    f"{phase}: {check.name}: {failure.failure.message}\n{failure.code_sample}"
                )


def is_said_in_words(failure: str, body: bytes) -> bool:
    """Tell whether a body was judged by what the contract says beside its schema."""
    if failure == "AcceptedNegativeData":
        return not body.strip()
    if failure != "RejectedPositiveData":
        return False
    request = json.loads(body)
    return (
        len(body) > 4096
        or isinstance(request.get("min_ttl"), float)
        or not all(value.isprintable() for value in request.get("profile", {}).values())
    )


def run(
    deployed: Running,
    tokens: Iterator[str | None],
    report: Report,
    checks: Iterable[str] = (*DOCUMENTED, *FAULTLESS),
    **phases: dict[str, Any],
) -> None:
    """Let schemathesis ask in some of its phases, each time with the next caller's token."""
    # Here, because importing it takes longer than most tests.
    import schemathesis
    from schemathesis.engine import events, from_schema

    config = schemathesis.Config.from_dict(
        {
            "seed": SEED,
            "base-url": deployed.stack.outputs.api_url,
            "request-timeout": REQUEST_TIMEOUT,
            "continue-on-failure": True,
            "warnings": False,
            "generation": {"database": "none", "no-shrink": True},
            "checks": {"enabled": False} | {name: {"enabled": True} for name in checks},
            "phases": {"enabled": False}
            | {name: {"enabled": True} | options for name, options in phases.items()},
        }
    )
    contract = yaml.safe_load((ROOT / "infra" / "openapi.yaml").read_text())
    # Told of the header, schemathesis would spoil it in every other case, and test little but 401.
    del contract["security"]
    schema = schemathesis.openapi.from_dict(contract, config=config)

    @schema.auth(refresh_interval=None)
    class _Callers:
        def get(self, _case: Any, _context: Any) -> str | None:
            return next(tokens)

        def set(self, case: Any, token: str, _context: Any) -> None:
            case.headers["Authorization"] = f"Bearer {token}"

    @schema.hook
    def filter_failure(_context: Any, failure: Any, _case: Any, response: Any) -> bool:
        return not is_said_in_words(type(failure).__name__, response.request.body or b"")

    for event in from_schema(schema).execute():
        match event:
            case events.ScenarioFinished():
                report.add(event)
            case events.NonFatalError():
                report.wrong.append(f"{event.label}: {event.info.format()}")
            case events.FatalError():
                raise event.exception


@pytest.fixture
def configure(deployed: Running) -> Iterator[Configure]:
    """Give a way to change the function's settings; afterwards they are as they were."""
    function = deployed.stack.aws.client("lambda")
    name = deployed.stack.outputs.function_name
    before = function.get_function_configuration(FunctionName=name)["Environment"]["Variables"]

    def change(**variables: str) -> None:
        function.update_function_configuration(
            FunctionName=name, Environment={"Variables": before | variables}
        )
        deployed.renew_function()

    yield change
    change()


def stretched(tokens: Iterable[str | None]) -> Iterator[str | None]:
    """Go round the callers, who each send some requests in a row."""
    return itertools.cycle([token for token in tokens for _ in range(STRETCH)])


def exhausted(deployed: Running, email: str) -> str:
    """Sign somebody out and in until every request of the hour is one renewal too many."""
    token = deployed.sign_in(email)
    while deployed.request("POST", token).status == 200:
        deployed.request("DELETE", token)
    return token


def test_every_answer_is_documented(deployed: Running, configure: Configure) -> None:
    """
    To people with a place in Aurora, and to others whom gateway, function or Aurora refuse.

    Along the links nobody is refused: schemathesis stops at a chain that ends differently when it
    is repeated, as one would whose callers differ in what they get.
    """
    deployed.aurora.behave(rate_limit=0)
    deployed.aurora.add_users([{"id": ROBERT["id"], "account_status": "inactive"}])
    emails = [JESSICA["email"], *(f"caller-{n}@example.com" for n in range(5))]
    welcome = [deployed.sign_in(email) for email in emails]
    report = Report()

    configure(**LIFTED)
    refused = [
        exhausted(deployed, "restless@example.com"),
        deployed.sign_in(ROBERT["email"]),
        deployed.sign_in("unverified@example.com", email_verified=False),
        deployed.sign_in(JESSICA["email"], exp=int(time.time()) - 60),
        "nonsense",
        None,
    ]
    callers = stretched([*welcome, *refused, *welcome])
    fuzzing = {"generation": {"max-examples": CASES // 2}}
    run(deployed, callers, report, examples={}, coverage={}, fuzzing=fuzzing)

    configure(**LIFTED, **UNCAPPED)
    chains = {"generation": {"max-examples": CASES // 20}, "max-steps": STRETCH}
    run(deployed, stretched(welcome), report, stateful=chains)

    print(report)  # noqa: T201 - `make contract` shows it.
    assert report.wrong == []
    assert report.sent.total() >= CASES
    assert report.sent["stateful"] >= CASES / 4
    # Refusals do not drown what the contract is about.
    assert set(report.answers) >= {200, 204, 400, 401, 403, 429}
    assert report.answers[200] >= CASES / 3
    # The links lead somewhere: the token named in one answer was renewed by the next request.
    assert report.renewed >= CASES / 100


def test_failures_of_aurora_are_documented(deployed: Running, configure: Configure) -> None:
    """
    Whatever Aurora does to a generate, the answer is one of the contract's, headers and all.

    Its tokens live so briefly that every request generates, and no cool-down hides the next fault.
    """
    deployed.aurora.behave(rate_limit=0, token_lifetime=600)
    configure(**LIFTED, **UNCAPPED, COOL_DOWN="0", AURORA_READ_TIMEOUT="0.5")
    tokens = [deployed.sign_in(f"caller-{n}@example.com") for n in range(5)]

    def callers() -> Iterator[str]:
        for token, fault in zip(itertools.cycle(tokens), itertools.cycle(FAULTS), strict=False):
            deployed.aurora.fail({"operation": "generate_token", "times": 3} | fault)
            yield token

    report = Report()
    fuzzing = {"generation": {"max-examples": 6 * len(FAULTS), "mode": "positive"}}
    run(deployed, callers(), report, DOCUMENTED, fuzzing=fuzzing)
    assert report.wrong == []
    assert set(report.answers) >= {200, 502, 503, 504}
    assert 500 not in report.answers
