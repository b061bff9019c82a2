"""What a company already has replaces what the stack would make; nothing else changes."""

import json
from typing import Any

import pytest

from infra.stage import StageError
from tests.infrastructure.conftest import ACCOUNT, GIVEN, KEY, REGION, Assembly, Template, filled_in

FUNCTION = "AWS::Lambda::Function"
LOGS = "AWS::Logs::LogGroup"
SECRET, SECRETS_KEY = GIVEN["secret_arn"], GIVEN["secret_kms_key_arn"]
CERTIFICATE, WEB_ACL = GIVEN["certificate_arn"], GIVEN["website_web_acl_arn"]


@pytest.fixture(scope="module")
def given(assembly: Assembly) -> Template:
    return assembly.template("given")


@pytest.fixture(scope="module")
def encrypted(assembly: Assembly) -> Template:
    return assembly.template("encrypted")


def ours(template: Template, type_: str) -> list[dict[str, Any]]:
    """Return the properties of a type, without the CDK's own helpers."""
    return [
        each["Properties"]
        for id_, each in template.resources(type_).items()
        if not id_.startswith(("Custom", "WebsitePublish"))
    ]


def statements(template: Template) -> list[dict[str, Any]]:
    return [
        statement
        for policy in ours(template, "AWS::IAM::Policy")
        for statement in policy["PolicyDocument"]["Statement"]
    ]


def test_stack_is_bound_to_its_account_and_region_and_tagged(assembly: Assembly) -> None:
    artifacts = json.loads((assembly.folder / "manifest.json").read_text())["artifacts"]
    given, sandbox = (artifacts[f"AuroraTokenVendor-{stage}"] for stage in ("given", "sandbox"))
    assert given["environment"] == f"aws://{ACCOUNT}/{REGION}"
    assert sandbox["environment"] == "aws://unknown-account/unknown-region"
    assert given["properties"]["tags"] == GIVEN["tags"]
    assert "tags" not in sandbox["properties"]


def test_given_key_encrypts_the_table_and_no_other_is_made(given: Template) -> None:
    table = given.properties("AWS::DynamoDB::Table")
    assert table["SSESpecification"]["KMSMasterKeyId"] == KEY
    assert given.resources("AWS::KMS::Key") == given.resources("AWS::SecretsManager::Secret") == {}


def test_function_reads_the_given_secret_and_may_decrypt_it(given: Template) -> None:
    by_resource = {str(each["Resource"]): each for each in statements(given)}
    assert by_resource[SECRET]["Action"] == "secretsmanager:GetSecretValue"
    decrypt = by_resource[SECRETS_KEY]
    assert decrypt["Action"] == "kms:Decrypt"
    assert decrypt["Condition"] == {
        "StringEquals": {"kms:ViaService": f"secretsmanager.{REGION}.amazonaws.com"}
    }
    assert "kms:GenerateDataKey" in by_resource[KEY]["Action"]
    for function in ours(given, FUNCTION):
        assert function["Environment"]["Variables"]["AURORA_SECRET_ARN"] == SECRET
    assert given.data["Outputs"]["SecretArn"]["Value"] == SECRET


def test_secret_with_awss_own_key_needs_no_right(assembly: Assembly) -> None:
    allowed = statements(assembly.template("topic-and-secret"))
    services = [str(each["Condition"]) for each in allowed if "kms:ViaService" in str(each)]
    assert len(services) == 1
    assert "dynamodb" in services[0]


def test_given_domain_closes_the_other_address(given: Template) -> None:
    domain = given.properties("AWS::ApiGatewayV2::DomainName")
    assert domain["DomainName"] == "tokens.example.com"
    (configuration,) = domain["DomainNameConfigurations"]
    assert configuration["CertificateArn"] == CERTIFICATE
    assert configuration["SecurityPolicy"] == "TLS_1_2"
    assert given.properties("AWS::ApiGatewayV2::Api")["DisableExecuteApiEndpoint"] is True
    mapping = given.properties("AWS::ApiGatewayV2::ApiMapping")
    assert mapping["ApiId"] == {"Ref": given.id("AWS::ApiGatewayV2::Api")}
    assert mapping["DomainName"] == {"Ref": given.id("AWS::ApiGatewayV2::DomainName")}
    outputs = {name: each["Value"] for name, each in given.data["Outputs"].items()}
    assert outputs["TokenUrl"] == "https://tokens.example.com/token"
    assert {"DomainTarget", "DomainTargetZoneId"} <= outputs.keys()


def test_website_reaches_the_given_domain_behind_the_web_acl(given: Template) -> None:
    config = given.properties("AWS::CloudFront::Distribution")["DistributionConfig"]
    assert config["WebACLId"] == WEB_ACL
    hosts = json.dumps([each["DomainName"] for each in config["Origins"]])
    assert "tokens.example.com" in hosts


def test_functions_run_in_the_given_network(given: Template) -> None:
    functions = ours(given, FUNCTION)
    assert len(functions) == 2
    for function in functions:
        assert function["VpcConfig"] == {
            "SubnetIds": GIVEN["subnet_ids"],
            "SecurityGroupIds": GIVEN["security_group_ids"],
        }


def test_only_lambda_itself_may_make_interfaces(given: Template) -> None:
    """What the role may do for Lambda, the function's own code is denied."""
    made = [each for each in statements(given) if "ec2:CreateNetworkInterface" in each["Action"]]
    allowed = [each["Action"] for each in made if each["Effect"] == "Allow"]
    denied = [each for each in made if each["Effect"] == "Deny"]
    assert len(allowed) == len(denied) == 2
    assert [each["Action"] for each in denied] == allowed
    for each in denied:
        pattern = json.dumps(each["Condition"]["ArnLike"]["lambda:SourceFunctionArn"])
        assert ":function:AuroraTokenVendor-given-*" in pattern


@pytest.mark.parametrize(("stage", "logs"), [("given", 4), ("encrypted", 2)])
def test_every_log_and_the_topic_are_encrypted(assembly: Assembly, stage: str, logs: int) -> None:
    template = assembly.template(stage)
    own = template.resources("AWS::KMS::Key")
    key: Any = {"Fn::GetAtt": [next(iter(own)), "Arn"]} if own else KEY
    groups = template.every(LOGS)
    assert len(groups) == logs
    assert all(each["KmsKeyId"] == key for each in groups)
    assert template.properties("AWS::SNS::Topic")["KmsMasterKeyId"] == key


def test_own_key_lets_logs_and_alarms_in_and_nobody_else(encrypted: Template) -> None:
    policy = encrypted.properties("AWS::KMS::Key")["KeyPolicy"]["Statement"]
    services = {
        json.dumps(each["Principal"]["Service"]): each
        for each in policy
        if "Service" in each["Principal"]
    }
    assert len(services) == 2
    logs = next(each for name, each in services.items() if "logs." in name)
    pattern = json.dumps(logs["Condition"]["ArnLike"]["kms:EncryptionContext:aws:logs:arn"])
    assert ":log-group:AuroraTokenVendor-encrypted-*" in pattern
    alarms = services['"cloudwatch.amazonaws.com"']
    assert sorted(alarms["Action"]) == ["kms:Decrypt", "kms:GenerateDataKey*"]
    assert alarms["Condition"] == {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}


def test_every_alarm_links_to_the_given_runbook(given: Template) -> None:
    for alarm in given.every("AWS::CloudWatch::Alarm"):
        slug = alarm["AlarmName"].removeprefix("token-vendor-given-")
        told = alarm["AlarmDescription"]
        assert told.endswith(f" https://git.example.com/vendor/docs/runbook.md#alarm-{slug}")


@pytest.mark.parametrize("stage", ["sandbox", "production"])
def test_by_default_none_of_it_is_there(assembly: Assembly, stage: str) -> None:
    """No website, schedule or canary either."""
    template = assembly.template(stage)
    text = json.dumps(template.data)
    for word in (
        *("VpcConfig", "WebACLId", "DisableExecuteApiEndpoint", "ec2:", "WebsiteUrl"),
        *('KmsMasterKeyId": {"Ref', "::DomainName", "::Schedule", "::S3::", "::CloudFront::"),
        "CodeDeploy",
    ):
        assert word not in text
    assert all("KmsKeyId" not in each for each in template.every(LOGS))


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "account without region": ({"account": ACCOUNT}, "account = .*goes together with region"),
    "domain without certificate": (
        {"domain_name": "a.example.com"},
        "domain_name = .*goes together with certificate_arn",
    ),
    "domain in capitals": (
        {"domain_name": "A.example.com", "certificate_arn": CERTIFICATE},
        "in lower case",
    ),
    "subnets alone": (
        {"subnet_ids": ["subnet-0123456789abcdef0"]},
        "subnet_ids = .*goes together with security_group_ids",
    ),
    "more subnets than AWS takes": (
        {
            "subnet_ids": [f"subnet-{number:017x}" for number in range(17)],
            "security_group_ids": ["sg-0123456789abcdef0"],
        },
        "AWS takes 16 of them",
    ),
    "key of no secret": ({"secret_kms_key_arn": KEY}, "goes together with secret_arn"),
    "secret by its name": ({"secret_arn": "aurora/api-key"}, "the whole ARN of the secret"),
    "key by its alias": (
        {"kms_key_arn": f"arn:aws:kms:{REGION}:{ACCOUNT}:alias/ours"},
        "the ARN of a KMS key",
    ),
    "key of another region": (
        {"account": ACCOUNT, "region": "eu-west-1", "kms_key_arn": KEY},
        "is of us-east-1, and the stage of eu-west-1",
    ),
    "two regions": (
        {"kms_key_arn": KEY, "secret_arn": SECRET.replace(REGION, "eu-west-1")},
        "secret_arn = .*is of eu-west-1, and the stage of us-east-1",
    ),
    "web ACL without website": ({"website_web_acl_arn": WEB_ACL}, "goes together with website"),
    "regional web ACL": (
        {"website": True, "website_web_acl_arn": WEB_ACL.replace("global", "regional")},
        "for CloudFront",
    ),
    "tag of AWS": ({"tags": {"aws:team": "a"}}, "does not take the name 'aws:team'"),
    "tag without name": ({"tags": {"": "a"}}, "does not take the name ''"),
    "issuer of this machine": (
        {"issuer": "http://127.0.0.1:8000"},
        "API Gateway cannot reach this machine; only stage local may name it",
    ),
    "secure issuer of this machine": ({"issuer": "https://localhost"}, "cannot reach this machine"),
}


@pytest.mark.parametrize(("override", "told"), REFUSED.values(), ids=REFUSED.keys())
def test_wrong_option_is_refused(override: dict[str, Any], told: str) -> None:
    with pytest.raises(StageError, match=told) as refusal:
        filled_in("sandbox", **override)
    assert len(str(refusal.value).splitlines()) == 1
