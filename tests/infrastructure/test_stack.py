"""Properties of the template that AWS's documentation asks for, whatever the constructs write."""

import ast
import json
from dataclasses import fields
from fnmatch import fnmatchcase
from typing import Any

import botocore.session
import pytest
from botocore import xform_name
from token_vendor.settings import RESERVE, Settings
from token_vendor.wiring import DYNAMODB, SECRETS_MANAGER

from infra.build.lambda_asset import SOURCES
from infra.stage.reader import REMOVED
from tests.infrastructure.conftest import (
    LONGEST,
    Assembly,
    Template,
    every_text,
    filled_in,
    listed,
)

FUNCTION = "AWS::Lambda::Function"
TABLE = "AWS::DynamoDB::Table"
SECRET = "AWS::SecretsManager::Secret"
KEY = "AWS::KMS::Key"
LOGS = "AWS::Logs::LogGroup"
ALIAS = "AWS::Lambda::Alias"
API = "AWS::ApiGatewayV2::Api"


def arn_of(template: Template, type_: str) -> dict[str, list[str]]:
    return {"Fn::GetAtt": [template.id(type_), "Arn"]}


def role_statements(template: Template) -> list[dict[str, Any]]:
    return template.properties("AWS::IAM::Policy")["PolicyDocument"]["Statement"]


def function_log(template: Template) -> dict[str, Any]:
    log = template.properties(FUNCTION)["LoggingConfig"]["LogGroup"]["Ref"]
    return template.data["Resources"][log]


# What the function may do.


def test_role_may_do_exactly_what_the_code_calls(template: Template) -> None:
    """Every statement of the role is listed here, and no other policy hangs on it."""
    from infra.stack.token_vendor import TABLE_ACTIONS, TABLE_KEY_ACTIONS

    log = template.properties(FUNCTION)["LoggingConfig"]["LogGroup"]["Ref"]
    via = {
        service: {
            "StringEquals": {
                "kms:ViaService": {
                    "Fn::Join": ["", [f"{service}.", {"Ref": "AWS::Region"}, ".amazonaws.com"]]
                }
            }
        }
        for service in ("dynamodb", "secretsmanager")
    }
    expected = [
        (["logs:CreateLogStream", "logs:PutLogEvents"], {"Fn::GetAtt": [log, "Arn"]}, None),
        (sorted(TABLE_ACTIONS), arn_of(template, TABLE), None),
        (["secretsmanager:GetSecretValue"], {"Fn::GetAtt": [template.id(SECRET), "Id"]}, None),
        (sorted(TABLE_KEY_ACTIONS), arn_of(template, KEY), via["dynamodb"]),
        (["kms:Decrypt"], arn_of(template, KEY), via["secretsmanager"]),
    ]
    found = []
    for statement in role_statements(template):
        assert statement["Effect"] == "Allow"
        found.append(
            (
                sorted(listed(statement["Action"])),
                statement["Resource"],
                statement.get("Condition"),
            )
        )
    by_actions = {"key": lambda each: (each[0], str(each[2]))}
    assert sorted(found, **by_actions) == sorted(expected, **by_actions)
    role = template.properties("AWS::IAM::Role")
    assert "ManagedPolicyArns" not in role
    assert "Policies" not in role
    (trusted,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert trusted["Principal"] == {"Service": "lambda.amazonaws.com"}


def test_granted_table_actions_are_those_in_the_code() -> None:
    """An operation of DynamoDB that the code names is granted, and none that it does not."""
    from infra.stack.token_vendor import EVERYBODY_ACTION, TABLE_ACTIONS

    model = botocore.session.get_session().get_service_model("dynamodb")
    operations = {xform_name(name): f"dynamodb:{name}" for name in model.operation_names}
    nodes = [
        node
        for source in (SOURCES / "token_vendor").glob("*.py")
        for node in ast.walk(ast.parse(source.read_text()))
    ]
    named = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    named |= {node.value for node in nodes if isinstance(node, ast.Constant)}
    called = {action for name, action in operations.items() if name in named}
    assert called == {*TABLE_ACTIONS, EVERYBODY_ACTION}


def test_key_policy_leaves_the_key_to_the_accounts_own_iam(template: Template) -> None:
    """No other account, no service and no anonymous principal is named in the key's policy."""
    key = template.properties(KEY)
    for statement in key["KeyPolicy"]["Statement"]:
        (principal,) = statement["Principal"].values()
        assert {"Ref": "AWS::AccountId"} in principal["Fn::Join"][1]
        assert principal["Fn::Join"][1][-1] == ":root"
    assert key["EnableKeyRotation"] is True


def test_api_may_invoke_only_the_alias_and_only_for_its_route(template: Template) -> None:
    permissions = template.every("AWS::Lambda::Permission")
    assert permissions
    for granted in permissions:
        assert granted["FunctionName"] == {"Ref": template.id(ALIAS)}
        assert granted["Action"] == "lambda:InvokeFunction"
        assert granted["Principal"] == "apigateway.amazonaws.com"
        parts = granted["SourceArn"]["Fn::Join"][1]
        assert {"Ref": template.id(API)} in parts
        assert {"Ref": "AWS::AccountId"} in parts
        assert parts[-1].endswith("/token")


def test_every_route_may_invoke_the_alias(template: Template) -> None:
    """AWS answers 500 where a route's permission is missing; an emulator may not ask for it."""
    patterns = [
        "/" + permission["SourceArn"]["Fn::Join"][1][-1].lstrip("/")
        for permission in template.every("AWS::Lambda::Permission")
    ]
    integration = template.id("AWS::ApiGatewayV2::Integration")
    for route in template.every("AWS::ApiGatewayV2::Route"):
        method, path = route["RouteKey"].split(" ")
        assert [each for each in patterns if fnmatchcase(f"/$default/{method}{path}", each)]
        assert route["Target"]["Fn::Join"][1] == [
            "integrations/",
            {"Ref": integration},
        ]


# The function.


def test_api_calls_a_published_version_through_the_alias(template: Template) -> None:
    # Of the Python that the asset's bytecode is for.
    assert template.properties(FUNCTION)["Runtime"] == "python3.13"
    alias = template.properties(ALIAS)
    (version,) = template.resources("AWS::Lambda::Version")
    assert alias["Name"] == "live"
    assert alias["FunctionVersion"] == {"Fn::GetAtt": [version, "Version"]}
    integration = template.properties("AWS::ApiGatewayV2::Integration")
    assert integration["IntegrationUri"] == {"Ref": template.id(ALIAS)}
    assert integration["PayloadFormatVersion"] == "2.0"


def test_each_deadline_ends_before_the_one_around_it(template: Template) -> None:
    """Aurora's or AWS's last answer < function < API Gateway < AWS's 30 s for an HTTP API."""
    function = template.properties(FUNCTION)
    variables = function["Environment"]["Variables"]
    aurora = Settings.aurora_connect_timeout + Settings.aurora_read_timeout
    gateway = template.properties("AWS::ApiGatewayV2::Integration")["TimeoutInMillis"] / 1000
    assert float(variables["FUNCTION_TIMEOUT"]) == function["Timeout"]
    assert aurora < function["Timeout"] < gateway <= 30
    for aws in (DYNAMODB, SECRETS_MANAGER):
        attempts = aws.retries["total_max_attempts"]
        assert attempts * (aws.connect_timeout + aws.read_timeout) < function["Timeout"] - RESERVE


def test_function_accepts_its_environment(template: Template) -> None:
    """The settings read every variable of the template, and none is there that nothing reads."""
    variables = template.properties(FUNCTION)["Environment"]["Variables"]
    texts = {
        name: value if isinstance(value, str) else "a-name-from-cloudformation"
        for name, value in variables.items()
    }
    settings = Settings.from_environment(texts)
    assert settings.stage == template.stage
    powertools = {name for name in variables if name.startswith("POWERTOOLS_")}
    named = {name.lower() for name in variables.keys() - powertools}
    declared = {each.name: each for each in fields(Settings)}
    assert named <= declared.keys()
    # A time that no stage changes has no variable.
    assert (
        declared.keys() - named == {name for names in REMOVED for name in names} & declared.keys()
    )
    assert variables["POWERTOOLS_SERVICE_NAME"] == f"token-vendor-{template.stage}"


def test_defaults_of_cdk_json_are_those_of_the_function() -> None:
    """A default that cdk.json leaves out means the same on both sides."""
    stage = filled_in("production", invite_domains=[])
    required = {
        "STAGE": stage.stage,
        "TABLE_NAME": "table",
        "AURORA_SECRET_ARN": "secret",
        "AURORA_URL": stage.aurora_origin,
        "AURORA_TENANT_ID": stage.aurora_tenant_id,
        "AURORA_ENVIRONMENT": stage.aurora_environment,
    }
    assert Settings.from_environment(required | stage.variables()) == Settings.from_environment(
        required
    )


def test_bounds_and_protection_are_options(assembly: Assembly) -> None:
    for stage, reserved in ((LONGEST, 9), ("sandbox", None)):
        function = assembly.template(stage).properties(FUNCTION)
        assert function.get("ReservedConcurrentExecutions") == reserved
        artifact = assembly.manifest(stage)
        assert artifact.get("terminationProtection", False) == (stage == LONGEST)


# What is stored.


def test_table_has_the_shape_that_the_code_expects(template: Template) -> None:
    table = template.properties(TABLE)
    assert table["KeySchema"] == [
        {"AttributeName": "pk", "KeyType": "HASH"},
        {"AttributeName": "sk", "KeyType": "RANGE"},
    ]
    assert {each["AttributeType"] for each in table["AttributeDefinitions"]} == {"S"}
    assert table["TimeToLiveSpecification"] == {"AttributeName": "ttl", "Enabled": True}
    assert table["BillingMode"] == "PAY_PER_REQUEST"
    assert table["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"] is True


def test_table_and_secret_are_encrypted_with_our_key(template: Template) -> None:
    key = arn_of(template, KEY)
    assert template.properties(TABLE)["SSESpecification"] == {
        "KMSMasterKeyId": key,
        "SSEEnabled": True,
        "SSEType": "KMS",
    }
    assert template.properties(SECRET)["KmsKeyId"] == key


def test_secret_has_no_value(template: Template) -> None:
    """A generated password would look like an API key that Aurora rejects."""
    secret = template.properties(SECRET)
    assert not secret.keys() & {"SecretString", "GenerateSecretString"}


@pytest.mark.parametrize(
    ("stage", "policy"), [("sandbox", "Delete"), ("production", "RetainExceptOnCreate")]
)
def test_what_destroy_and_replacement_leave(assembly: Assembly, stage: str, policy: str) -> None:
    """Production keeps table, secret, key and logs; a sandbox leaves nothing that costs money."""
    template = assembly.template(stage)
    for type_ in (TABLE, SECRET, KEY, LOGS):
        for resource in template.resources(type_).values():
            protected = policy != "Delete" and type_ == TABLE
            assert resource["DeletionPolicy"] == ("Retain" if protected else policy)
            kept = "Delete" if policy == "Delete" else "Retain"
            assert resource["UpdateReplacePolicy"] == kept
    assert template.properties(TABLE)["DeletionProtectionEnabled"] is (policy != "Delete")


# The way in.


def test_every_route_asks_for_a_callers_token(template: Template) -> None:
    routes = template.every("AWS::ApiGatewayV2::Route")
    assert {route["RouteKey"] for route in routes} == {"POST /token", "DELETE /token"}
    authorizer = template.id("AWS::ApiGatewayV2::Authorizer")
    for route in routes:
        assert route["AuthorizationType"] == "JWT"
        assert route["AuthorizerId"] == {"Ref": authorizer}


def test_authorizer_believes_the_configured_provider_only(production: Template) -> None:
    authorizer = production.properties("AWS::ApiGatewayV2::Authorizer")
    assert authorizer["JwtConfiguration"] == {
        "Issuer": "https://id.example.com",
        "Audience": ["web-app"],
    }
    assert authorizer["IdentitySource"] == ["$request.header.Authorization"]


def test_browsers_of_the_configured_origins_may_call(production: Template) -> None:
    assert production.properties(API)["CorsConfiguration"] == {
        "AllowOrigins": ["https://app.example.com"],
        "AllowMethods": ["POST", "DELETE"],
        "AllowHeaders": ["authorization", "content-type"],
        "ExposeHeaders": ["retry-after"],
        "MaxAge": 86_400,
    }


def test_without_origins_no_browser_may_call(longest: Template) -> None:
    assert "CorsConfiguration" not in longest.properties(API)


def test_stage_is_throttled(template: Template) -> None:
    settings = template.properties("AWS::ApiGatewayV2::Stage")
    assert settings["StageName"] == "$default"
    assert settings["DefaultRouteSettings"] == {
        "ThrottlingRateLimit": 100,
        "ThrottlingBurstLimit": 200,
    }


# What is written down.


def test_access_log_tells_nothing_of_the_caller(template: Template) -> None:
    settings = template.properties("AWS::ApiGatewayV2::Stage")
    entry = json.loads(settings["AccessLogSettings"]["Format"])
    assert entry["request_id"] == "$context.requestId"
    telling = ("identity", "claims", "header", "path", "querystring", "sourceIp", "userAgent")
    assert not [each for each in entry.values() for word in telling if word.lower() in each.lower()]


@pytest.mark.parametrize(("stage", "days"), [("sandbox", 30), ("production", 365)])
def test_logs_are_kept_for_the_configured_time(assembly: Assembly, stage: str, days: int) -> None:
    template = assembly.template(stage)
    groups = template.resources(LOGS).values()
    assert [group["Properties"]["RetentionInDays"] for group in groups] == [days] * 2
    assert function_log(template) in groups


def test_template_holds_no_secret(template: Template) -> None:
    texts = list(every_text(template.data))
    assert not [text for text in texts if text.startswith(("sk_", "rk_", "eyJ", "Bearer "))]
    assert not [text for text in texts if "{{resolve:" in text]
