"""What README and docs/ tell people to type and to paste: commands and policies."""

import fnmatch
import json
import re
import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import jwt
import pytest
from botocore import xform_name
from botocore.handlers import BUILTIN_HANDLERS
from botocore.session import Session
from typer.core import TyperGroup
from typer.main import get_command
from typer.testing import CliRunner

from infra.build.lambda_asset import ROOT
from infra.fake_aurora.fake_aurora import FakeAurora
from infra.operator.cli import app
from infra.probe.cli import app as probe
from tests.infrastructure import conftest
from tests.infrastructure.conftest import Assembly, listed
from tests.support.loopback import Reply, Request, answering, as_json
from tests.support.program import printed
from tests.support.table import create_table

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^( *)```(\w*)[^\n]*\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
SHELL = {"", "sh", "bash", "shell", "console"}
APPS = {"token-vendor": app, "token-vendor-probe": probe}
PARSED_ONLY = {
    "aws": "there is no AWS here; its names are those of botocore's models",
    "cd": "moves about",
    "curl": "asks a deployed stage, or an identity provider",
    "git": "needs a remote",
    "npm": "asks npm's registry",
    "pip": "asks PyPI",
    "python": "`infra.local login` needs a stack: tests/e2e/test_local_stack.py has it",
    "python3": "a line that reads what the command before it answered",
    **dict.fromkeys(("for", "wait", "sleep", "seq", "date"), "the shell's own"),
    **dict.fromkeys(("grep", "head", "jq", "sort", "uniq"), "shortens an answer"),
}
"""Programs that no test can run as they are written, with the reason. The shell parses them."""
GIVEN = {"CANARY_EMAIL": "a@example.com", "EMAIL": "a@example.com", "STAGE": "sandbox"}
KEYWORDS = {"do", "done"}
GLOBAL = {"--output", "--query", "--region", "--profile"}


def words_of(line: str) -> list[list[str]]:
    """Split a line of shell into its commands, each without its variables and redirections."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    found: list[list[str]] = [[]]
    around: list[list[str]] = []
    current = found[0]
    for word in lexer:
        if word == ")":
            current = around.pop()
        elif re.fullmatch(r"[();&|]+", word):
            around += [current] * (word == "(")
            current = []
            found.append(current)
        elif word not in KEYWORDS and (current or not re.match(r"\w+=", word)):
            current.append(word)
    return [words for words in found if words]


def program(words: list[str]) -> str:
    return words[0].removeprefix(".venv/bin/") if words else ""


def snippets(page: Path) -> Iterator[str]:
    """Yield the lines of shell in a page: all of its fences, and the spans that are a command."""
    text = page.read_text()
    for _, language, block in FENCE.findall(text):
        if language in SHELL:
            lines = block.replace("\\\n", " ").splitlines()
            yield from filter(None, (line.split("  #")[0].strip() for line in lines))
    for span in SPAN.findall(FENCE.sub("", text)):
        named = program(span.split())
        if named in {*APPS, *PARSED_ONLY, "make"} and " " in span:
            yield span.replace("\\|", "|")


LINES = {line: page.name for page in reversed(PAGES) for line in snippets(page)}
TYPED = {
    shlex.join([program(words), *words[1:]]): words
    for line in LINES
    for words in words_of(line)
    if program(words) in APPS and not (words[1:] and words[1].isupper())
}


@pytest.mark.parametrize("line", LINES, ids=lambda line: f"{LINES[line]}: {line}")
def test_line_is_one_that_a_test_knows(line: str) -> None:
    """Every command of it is run, or is in the table above; the shell takes the line."""
    plain = re.sub(r"<[a-z ]+>", "X", line)
    printed("bash", "-n", "-c", plain)
    for words in words_of(plain):
        match program(words):
            case "make":
                printed("make", "-n", *words[1:], cwd=ROOT)
            case "aws":
                aws(words)
            case "python3" if words[1] == "-c":
                compile(words[2], "page", "exec")
            case other:
                assert other in {*APPS, *PARSED_ONLY}


def aws(words: list[str]) -> None:
    """Hold a line for AWS's own CLI against the model that it is made from."""
    service, operation, *rest = words[1:]
    model = Session().get_service_model({"logs": "logs"}.get(service, service))
    known = {xform_name(each, "-"): each for each in model.operation_names}
    members = model.operation_model(known[operation]).input_shape.members
    options = {f"--{xform_name(each, '-')}" for each in members}
    named = {re.sub("^--no-", "--", each) for each in rest if each.startswith("--")}
    assert named <= options | GLOBAL


# A stage in AWS, and every command on it -------------------------------------------------

REGION, ACCOUNT, STAGE = "us-east-1", "123456789012", "sandbox"
STACK = f"AuroraTokenVendor-{STAGE}"
TABLE, GROUP, FUNCTION = f"{STACK}-Table", f"{STACK}-Log", f"{STACK}-Vendor"
PERSON = "a@example.com"
Call = tuple[str, str]
"""An action of IAM, and the resource that it is asked for."""


@contextmanager
def provider() -> Iterator[str]:
    """Serve an identity provider and, at the same address, a `/token` that serves everybody."""

    def answer(request: Request) -> Reply:
        if request.method == "POST":
            return as_json({"source": "stored", "token": {"jti": "jti", "jwt": "jwt"}})
        return as_json({"issuer": server.url, "jwks_uri": server.url, "keys": [{"kty": "RSA"}]})

    with answering(answer) as server:
        yield server.url


@dataclass
class Stage:
    """A deployed stage; `calls` are what was asked of AWS since it was filled."""

    issuer: str
    aurora: FakeAurora
    id_token: str
    outputs: dict[str, str] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    calls: set[Call] = field(default_factory=set)

    def fill(self) -> None:
        """Give the table a person with a token, Aurora's list, and a switch."""
        dynamodb, now = boto3.client("dynamodb"), time.time()
        tenant = f"sandbox#{self.aurora.tenant_id}"
        entry = ["stop-generating", "", {"N": str(now + 600)}, "why", "who"]
        row = {"L": [{"S": each} if isinstance(each, str) else each for each in entry]}
        items: dict[tuple[str, str], dict[str, Any]] = {
            (tenant, "CONTROL"): {"version": {"N": "1"}, "entries": {"L": [row]}},
            (tenant, "DIRECTORY"): {"read_at": {"N": "1"}, "read_since": {"N": "1"}},
            (f"{tenant}#{PERSON}", "TOKEN"): {
                **{name: {"S": name} for name in ("jwt", "jti", "user_id")},
                "expires_at": {"N": str(int(now + 9000))},
                "version": {"N": "1"},
            },
        }
        for (pk, sk), item in items.items():
            dynamodb.put_item(TableName=TABLE, Item={"pk": {"S": pk}, "sk": {"S": sk}} | item)
        self.calls.clear()

    def run(self, words: list[str]) -> int:
        """Type a command, with what it asks for."""
        self.fill()
        said = {
            "set-api-key": self.aurora.api_key,
            **dict.fromkeys(("smoke", "doctor"), self.id_token),
        }
        typed = [GIVEN.get(word, word) for word in words[1:]]
        asked = "1\n" if program(words) == "token-vendor-probe" else said.get(typed[0], "y\n")
        result = CliRunner().invoke(APPS[program(words)], typed, input=asked)
        assert "Traceback" not in result.output
        return result.exit_code

    def answer(self, *, model: Any, **_: Any) -> tuple[Any, dict[str, Any]] | None:
        """Answer where moto does not, or needs packages that are not here."""
        outputs = [{"OutputKey": key, "OutputValue": it} for key, it in self.outputs.items()]
        issued = {"JwtConfiguration": {"Issuer": self.issuer, "Audience": ["client"]}}
        encrypted = {"SSEDescription": {"SSEType": "KMS", "Status": "ENABLED"}}
        answers: dict[str, dict[str, Any]] = {
            "DescribeTable": {"Table": encrypted, "ResponseMetadata": {"HTTPHeaders": {}}},
            "DescribeStacks": {"Stacks": [{"StackStatus": "CREATE_COMPLETE", "Outputs": outputs}]},
            "GetApi": {"CorsConfiguration": {"AllowOrigins": ["https://app.example.com"]}},
            "GetAuthorizers": {"Items": [issued]},
            "GetFunctionConfiguration": {"Environment": {"Variables": self.variables}},
        }
        if model.name not in answers:
            return None
        return SimpleNamespace(status_code=200), answers[model.name]

    def note(self, *, params: dict[str, Any], model: Any, **_: Any) -> None:
        """Take down a call that is about to be made, as IAM sees it."""
        service, operation = model.service_model.service_name, model.name
        here = f"{REGION}:{ACCOUNT}"
        if service == "sts":
            # Who one is needs no right.
            return
        table = params.get("TableName") or next(iter(params.get("RequestItems", ())), "")
        resource = {
            "apigatewayv2": f"arn:aws:apigateway:{REGION}::/apis/{params.get('ApiId')}",
            "cloudformation": f"arn:aws:cloudformation:{here}:stack/{params.get('StackName')}/1",
            "cloudwatch": "*",
            "dynamodb": f"arn:aws:dynamodb:{here}:table/{table}",
            "lambda": f"arn:aws:lambda:{here}:function:{params.get('FunctionName')}",
            "logs": f"arn:aws:logs:{here}:log-group:{params.get('logGroupName')}:log-stream:",
            "secretsmanager": params.get("SecretId", ""),
            "sns": params.get("TopicArn", ""),
        }[service]
        if service == "apigatewayv2":
            resource += "/authorizers" * (operation == "GetAuthorizers")
            service, operation = "apigateway", model.http["method"]
        self.calls.add((f"{service}:{operation}", resource))


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    from moto import mock_aws

    with (
        pytest.MonkeyPatch.context() as patch,
        mock_aws(),
        FakeAurora.running() as aurora,
        provider() as url,
    ):
        claims = {"iss": url, "aud": "client", "email": PERSON, "email_verified": True}
        expires = {"exp": int(time.time()) + 900}
        found = Stage(url, aurora, jwt.encode(claims | expires, "k" * 32, algorithm="HS256"))
        deploy(found)
        handlers = (("before-parameter-build", found.note), ("before-call", found.answer))
        patch.setattr("botocore.handlers.BUILTIN_HANDLERS", [*BUILTIN_HANDLERS, *handlers])
        patch.setenv("TOKEN_VENDOR_STAGE", STAGE)
        patch.chdir(tmp_path_factory.mktemp("here"))
        yield found


def deploy(stage: Stage) -> None:
    """Make what the commands ask for; its names begin as CloudFormation's do."""
    dynamodb, logs = boto3.client("dynamodb"), boto3.client("logs")
    create_table(dynamodb, TABLE)
    specification = {"Enabled": True, "AttributeName": "ttl"}
    dynamodb.update_time_to_live(TableName=TABLE, TimeToLiveSpecification=specification)
    logs.create_log_group(logGroupName=GROUP)
    logs.create_log_stream(logGroupName=GROUP, logStreamName="s")
    line = {"message": "audit", "audit": {"jti": "jti", "status": 200, "duration_ms": 1}}
    event = {"timestamp": int(time.time() * 1000), "message": json.dumps(line)}
    logs.put_log_events(logGroupName=GROUP, logStreamName="s", logEvents=[event])
    secret = boto3.client("secretsmanager").create_secret(
        Name="s", SecretString=stage.aurora.api_key
    )
    stage.outputs |= {
        "ApiId": "api1",
        "TokenUrl": f"{stage.issuer}/token",
        "TableName": TABLE,
        "SecretArn": secret["ARN"],
        "FunctionName": FUNCTION,
        "LogGroupName": GROUP,
        "TopicArn": boto3.client("sns").create_topic(Name=f"{STACK}-Topic")["TopicArn"],
        "DashboardNames": "service,operations",
    }
    stage.variables |= {
        "STAGE": STAGE,
        "TABLE_NAME": TABLE,
        "AURORA_SECRET_ARN": secret["ARN"],
        "AURORA_URL": stage.aurora.url,
        "AURORA_TENANT_ID": stage.aurora.tenant_id,
        "AURORA_ENVIRONMENT": "sandbox",
    }


@pytest.mark.parametrize("words", TYPED.values(), ids=TYPED)
def test_command_does_what_it_is_to_do(stage: Stage, words: list[str]) -> None:
    """Where the page means the local stack, which does not run here, it says so."""
    assert stage.run(words) == (3 if "local" in words else 0)


# Policies ----------------------------------------------------------------------------------

LOOKING = {
    "show": [PERSON],
    "doctor": [],
    "dashboard": [],
    "smoke": [],
    "switch": [],
    "people list": [],
    "people unused": [],
    "people export": [PERSON],
    "plan burst": [],
    "plan prewarm": [],
}
WRITING = {
    "switch stop-inviting": ["--reason", "a test"],
    "switch stop-generating": ["--clear", "--reason", "a test"],
    "set-api-key": [],
    "people erase": [PERSON],
    "people forget": [PERSON],
    "token-vendor-probe": [],
}
KEY_OF_AURORA = "secretsmanager:GetSecretValue"


def calls(stage: Stage, name: str, arguments: list[str]) -> set[Call]:
    words = name.split() if name in APPS else ["token-vendor", *name.split()]
    assert stage.run([*words, *arguments]) == 0
    return set(stage.calls)


def policy(heading: str, stage: Stage | None = None) -> list[dict[str, Any]]:
    """Return the statements below a heading of docs/iam.md, with a stage's values filled in."""
    page = (ROOT / "docs" / "iam.md").read_text()
    block = page.partition(f"## {heading}\n")[2].partition("```json\n")[2].partition("```")[0]
    outputs = stage.outputs if stage else {}
    values = {
        "ACCOUNT": ACCOUNT,
        "REGION": REGION,
        "STAGE": STAGE,
        "API_ID": outputs.get("ApiId", ""),
        "SECRET_ARN": outputs.get("SecretArn", ""),
    }
    for name, value in values.items():
        block = re.sub(rf"\b{name}\b", value, block)
    statements: list[dict[str, Any]] = json.loads(block)["Statement"]
    return statements


def allows(statements: list[dict[str, Any]], call: Call) -> bool:
    """Decide as IAM does, for statements that all allow and have no condition."""
    return any(
        each["Effect"] == "Allow"
        and "Condition" not in each
        and call[0] in listed(each["Action"])
        and any(fnmatch.fnmatchcase(call[1], pattern) for pattern in listed(each["Resource"]))
        for each in statements
    )


def actions(statements: list[dict[str, Any]], *, conditional: bool) -> set[str]:
    chosen = [each for each in statements if ("Condition" in each) == conditional]
    return {action for each in chosen for action in listed(each["Action"])}


def test_every_command_is_held_against_the_policies() -> None:
    def leaves(command: Any, name: str = "") -> Iterator[str]:
        if not isinstance(command, TyperGroup):
            yield name
            return
        for each in command.commands.values():
            yield from leaves(each, f"{name} {each.name}".strip())

    held = {*LOOKING, *WRITING} - APPS.keys() - {"switch stop-inviting", "switch stop-generating"}
    assert set(leaves(get_command(app))) == held


def test_operator_may_do_all_and_no_more(stage: Stage) -> None:
    from infra.stack.token_vendor import TABLE_KEY_ACTIONS  # It takes seconds to import.

    statements = policy("Read-only operator", stage) + policy("Operator", stage)
    done = {call for each in (LOOKING | WRITING).items() for call in calls(stage, *each)}
    assert [call for call in done if not allows(statements, call)] == []
    assert actions(statements, conditional=False) == {action for action, _ in done}
    assert actions(statements, conditional=True) == set(TABLE_KEY_ACTIONS)


def test_read_only_operator_may_look(stage: Stage) -> None:
    """Aurora's API key is kept from this person: `doctor` says so and goes on."""
    statements = policy("Read-only operator", stage)
    done = {call for each in LOOKING.items() for call in calls(stage, *each)}
    refused = {action for action, resource in done if not allows(statements, (action, resource))}
    assert refused == {KEY_OF_AURORA}
    assert actions(statements, conditional=False) == {action for action, _ in done} - refused
    assert actions(statements, conditional=True) == {"kms:Decrypt", "kms:DescribeKey"}


@pytest.mark.parametrize("command", WRITING.items(), ids=WRITING)
def test_read_only_operator_changes_nothing(stage: Stage, command: tuple[str, list[str]]) -> None:
    statements = policy("Read-only operator", stage)
    refused = {action for action, _ in calls(stage, *command)} - {
        action
        for action, resource in calls(stage, *command)
        if allows(statements, (action, resource))
    }
    assert refused - {KEY_OF_AURORA}


def test_rights_end_at_the_stage(stage: Stage) -> None:
    statements = policy("Read-only operator", stage) + policy("Operator", stage)
    done = {call for each in (LOOKING | WRITING).items() for call in calls(stage, *each)}
    others = {(action, where.replace(STACK, "AuroraTokenVendor-other")) for action, where in done}
    assert len(others - done) > len(done) / 2
    assert not [call for call in others - done if allows(statements, call)]


def test_deployer_takes_on_what_the_cdk_names(assembly: Assembly) -> None:
    """The roles of the synthesized stack and of its assets; never the one of CloudFormation."""
    statements = policy("Deployer")
    written = "".join(
        file.read_text()
        for file in (*assembly.folder.glob("*.json"),)
        if "template" not in file.name
    )
    roles = {
        role.replace("${AWS::AccountId}", ACCOUNT)
        .replace("${AWS::Region}", REGION)
        .replace("${AWS::Partition}", "aws")
        .replace(conftest.ACCOUNT, ACCOUNT)  # Some of the stages name theirs.
        for role in re.findall(r'"(?:assumeRoleArn|arn)": "([^"]+)"', written)
    }
    named = {resource for each in statements for resource in listed(each["Resource"])}
    assert roles == named
    assert actions(statements, conditional=False) == {"sts:AssumeRole"}
