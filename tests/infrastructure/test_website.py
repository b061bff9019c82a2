"""The page on CloudFront: private bucket, strict headers, and `/token` that is never cached."""

import json
from pathlib import Path
from typing import Any

import pytest

from infra.build.lambda_asset import ROOT
from infra.stage import StageError
from infra.web.demo_files import (
    AURORA_SOURCES,
    FILES,
    LOADER_ORIGIN,
)
from tests.infrastructure.conftest import STAGES, Assembly, Template, filled_in, synthesize

BUCKET = "AWS::S3::Bucket"
DISTRIBUTION = "AWS::CloudFront::Distribution"
# AWS's managed policies, by the ids that its documentation gives.
CACHING_DISABLED = "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"
ALL_VIEWER_EXCEPT_HOST_HEADER = "b689b0a8-53d0-40ab-baf2-68738e2966ac"


@pytest.fixture(scope="module")
def template(assembly: Assembly) -> Template:
    return assembly.template("website")


@pytest.fixture(scope="module")
def distribution(template: Template) -> dict[str, Any]:
    config: dict[str, Any] = template.properties(DISTRIBUTION)["DistributionConfig"]
    return config


def test_only_this_distribution_reads_the_bucket(template: Template) -> None:
    block = template.properties(BUCKET)["PublicAccessBlockConfiguration"]
    assert len(block) == 4
    assert all(block.values())
    policy = template.properties("AWS::S3::BucketPolicy")["PolicyDocument"]["Statement"]
    plain = [each for each in policy if each["Effect"] == "Deny"]
    assert [each["Condition"] for each in plain] == [{"Bool": {"aws:SecureTransport": "false"}}]
    (allowed,) = [
        each for each in policy if each["Effect"] == "Allow" and "Service" in each["Principal"]
    ]
    assert allowed["Action"] == "s3:GetObject"
    assert allowed["Principal"] == {"Service": "cloudfront.amazonaws.com"}
    source = json.dumps(allowed["Condition"]["StringEquals"]["AWS:SourceArn"])
    assert template.id(DISTRIBUTION) in source
    assert not [
        each
        for each in policy
        if each["Effect"] == "Allow" and each["Principal"] in ("*", {"AWS": "*"})
    ]


def test_token_goes_to_the_api_uncached_and_with_the_callers_token(
    template: Template, distribution: dict[str, Any]
) -> None:
    (token,) = distribution["CacheBehaviors"]
    assert token["PathPattern"] == "/token"
    assert token["CachePolicyId"] == CACHING_DISABLED
    assert token["OriginRequestPolicyId"] == ALL_VIEWER_EXCEPT_HOST_HEADER
    assert token["ViewerProtocolPolicy"] == "https-only"
    assert {"POST", "DELETE"} <= set(token["AllowedMethods"])
    (api,) = [each for each in distribution["Origins"] if "CustomOriginConfig" in each]
    assert api["Id"] == token["TargetOriginId"]
    assert template.id("AWS::ApiGatewayV2::Api") in json.dumps(api["DomainName"])
    assert api["CustomOriginConfig"]["OriginProtocolPolicy"] == "https-only"


def test_files_come_with_the_headers_of_the_local_page(
    template: Template, distribution: dict[str, Any]
) -> None:
    default = distribution["DefaultCacheBehavior"]
    assert default["ViewerProtocolPolicy"] == "redirect-to-https"
    assert default["ResponseHeadersPolicyId"] == {
        "Ref": template.id("AWS::CloudFront::ResponseHeadersPolicy")
    }
    policy = template.properties("AWS::CloudFront::ResponseHeadersPolicy")
    headers = policy["ResponseHeadersPolicyConfig"]["SecurityHeadersConfig"]
    content = headers["ContentSecurityPolicy"]["ContentSecurityPolicy"]
    directives = dict(each.split(" ", 1) for each in content.split("; "))
    assert directives["default-src"] == directives["frame-ancestors"] == "'none'"
    ours = ["'self'", "https://id.example.com", "https://sign-in.example.com"]
    assert directives["connect-src"].split()[: len(ours)] == ours
    # The stage's own where it says so, and otherwise what the SDK is known to need.
    assert directives["script-src"] == f"'self' {LOADER_ORIGIN} 'wasm-unsafe-eval'"
    assert directives["connect-src"].endswith(AURORA_SOURCES["connect-src"])
    assert directives["worker-src"] == "blob:"
    assert "frame-src" not in directives
    assert headers["StrictTransportSecurity"]["AccessControlMaxAgeSec"] >= 31_536_000
    assert headers["ContentTypeOptions"] == {"Override": True}
    assert headers["ReferrerPolicy"]["ReferrerPolicy"] == "no-referrer"


def test_what_is_published_is_the_page_and_its_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The Lambda's own thousands of files are not looked at.
    monkeypatch.setattr("infra.stack.function.build_asset", lambda: ROOT / "functions")
    synthesize(tmp_path, filled_in("website", **STAGES["website"][1]), staged=True)
    copied = Assembly(tmp_path).template("website").properties("Custom::CDKBucketDeployment")
    found: dict[str, bytes] = {}
    for key in copied["SourceObjectKeys"]:
        folder = tmp_path / f"asset.{key.removesuffix('.zip')}"
        found |= {file.name: file.read_bytes() for file in folder.iterdir()}
    config = json.loads(found.pop("config.json"))
    assert found == {name: path.read_bytes() for name, path in FILES.items()}
    assert config == {
        "issuer": "https://id.example.com/tenant",
        "client_id": "web-app",
        "token_url": "/token",
    }
    assert copied["SystemMetadata"]["cache-control"] == "no-cache"


def test_what_an_account_has_once_is_named_after_the_region(template: Template) -> None:
    """The stage in a second region would find the name taken."""
    policy = template.properties("AWS::CloudFront::ResponseHeadersPolicy")
    access = template.properties("AWS::CloudFront::OriginAccessControl")
    names = [
        policy["ResponseHeadersPolicyConfig"]["Name"],
        access["OriginAccessControlConfig"]["Name"],
        *(each["DashboardName"] for each in template.every("AWS::CloudWatch::Dashboard")),
    ]
    assert len(names) == 4
    assert all({"Ref": "AWS::Region"} in name["Fn::Join"][1] for name in names)


def test_the_documented_policy_is_the_default() -> None:
    page = (ROOT / "docs/frontend.md").read_text()
    for directive, sources in AURORA_SOURCES.items():
        assert f"| `{directive}` | `{sources}` |" in page


@pytest.mark.parametrize(
    ("sources", "why"),
    [
        pytest.param({"default-src": "https://a.example.com"}, "default-src is none of", id="name"),
        pytest.param({"script-src": "'unsafe-inline'"}, "not 'unsafe-inline'", id="inline"),
        pytest.param({"connect-src": "*"}, r"not \*", id="anything"),
        pytest.param({"connect-src": "https:"}, "not https:", id="any host"),
        pytest.param({"connect-src": "https://*"}, r"not https://\*", id="any https host"),
        pytest.param({"connect-src": "https://*.com"}, r"not https://\*\.com", id="a whole TLD"),
        pytest.param({"frame-src": "http://a.example.com"}, "not http://", id="not encrypted"),
        pytest.param({"img-src": "blob:; script-src *"}, "not blob:;", id="another directive"),
    ],
)
def test_sources_that_would_open_the_page_are_refused(sources: dict[str, str], why: str) -> None:
    with pytest.raises(StageError, match=rf"production\.sdk_sources.*{why}"):
        filled_in("production", sdk_sources=sources)
