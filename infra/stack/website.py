"""
The demo page and the browser helper on CloudFront, with `/token` behind the same address.

Off by default. One origin for page and service means that no CORS is needed, and that the browser
shows the page a 401 instead of hiding it.
"""

from typing import cast
from urllib.parse import urlsplit

from aws_cdk import (
    Acknowledgment,
    Aws,
    CfnElement,
    DefaultStackSynthesizer,
    Duration,
    Fn,
    RemovalPolicy,
    Stack,
    Token,
    Validations,
)
from aws_cdk import aws_cloudfront as cloudfront
from aws_cdk import aws_cloudfront_origins as origins
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_s3_deployment as deployment
from constructs import Construct

from infra.stack.storage import log_group
from infra.stage import StageConfig
from infra.web.demo_files import FILES, SDK_SOURCES, security_headers

BOOTSTRAP_QUALIFIER = "@aws-cdk/core:bootstrapQualifier"
ONE_YEAR = Duration.days(365)
ACKNOWLEDGED = {
    "AwsSolutions-CFR1": "The page may be used from wherever the company's people are.",
    "AwsSolutions-CFR2": "/token asks for the company's sign-in and is throttled in API Gateway; "
    "a firewall costs more than the rest of the stack.",
    "AwsSolutions-CFR3": "The page is static and public; /token has its own access log.",
    "AwsSolutions-CFR4": "CloudFront's own certificate fixes the oldest protocol; a domain of the "
    "company's own lifts that.",
    "AwsSolutions-S1": "Only CloudFront reads the bucket, and it holds nothing but public files.",
}
# The CDK's own function copies the files while CloudFormation deploys, and never else; neither it
# nor its role is ours to shape.
COPIER = "The CDK's own function, which runs only while the stack is deployed."
ACKNOWLEDGED_OF_COPIER = (
    "Serverless::Serverless-LambdaDLQ",
    "Serverless::Serverless-LambdaLatestVersion",
    "Serverless::Serverless-LambdaTracing",
    "AwsSolutions::AwsSolutions-L1",
    (
        "AwsSolutions::AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/service-role/"
        "AWSLambdaBasicExecutionRole]"
    ),
    *(
        f"AwsSolutions::AwsSolutions-IAM5[Action::s3:{action}*]"
        for action in ("Abort", "DeleteObject", "GetBucket", "GetObject", "List")
    ),
)


class Website(Construct):
    def __init__(
        self, scope: Construct, id_: str, *, stage: StageConfig, api_endpoint: str
    ) -> None:
        super().__init__(scope, id_)
        self._bucket = s3.Bucket(
            self,
            "Files",
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            encryption=s3.BucketEncryption.S3_MANAGED,
            enforce_ssl=True,
            # Every file comes from this repository, and the deployment below takes them away again.
            removal_policy=RemovalPolicy.DESTROY,
        )
        self._distribution = cloudfront.Distribution(
            self,
            "Distribution",
            comment=f"Aurora token vendor ({stage.stage}): demo page and /token",
            default_root_object="index.html",
            web_acl_id=stage.website_web_acl_arn or None,
            http_version=cloudfront.HttpVersion.HTTP2_AND_3,
            default_behavior=self._files(stage),
            additional_behaviors={"/token": self._token(api_endpoint)},
        )
        self.url = f"https://{self._distribution.distribution_domain_name}"
        self._publish(stage)
        for resource in (self._bucket, self._distribution):
            Validations.of(resource).acknowledge(
                *(
                    Acknowledgment(id=f"AwsSolutions::{rule}", reason=reason)
                    for rule, reason in ACKNOWLEDGED.items()
                )
            )

    def _files(self, stage: StageConfig) -> cloudfront.BehaviorOptions:
        headers = security_headers(
            sdk=SDK_SOURCES[stage.aurora_environment] | dict(stage.sdk_sources),
            connects=[_origin(stage.issuer), *stage.website_origins],
        )
        policy = cloudfront.ResponseHeadersPolicy(
            self,
            "Headers",
            response_headers_policy_name=_global_name(stage),
            security_headers_behavior=cloudfront.ResponseSecurityHeadersBehavior(
                content_security_policy=cloudfront.ResponseHeadersContentSecurityPolicy(
                    content_security_policy=headers["Content-Security-Policy"], override=True
                ),
                content_type_options=cloudfront.ResponseHeadersContentTypeOptions(override=True),
                referrer_policy=cloudfront.ResponseHeadersReferrerPolicy(
                    referrer_policy=cloudfront.HeadersReferrerPolicy.NO_REFERRER, override=True
                ),
                strict_transport_security=cloudfront.ResponseHeadersStrictTransportSecurity(
                    access_control_max_age=ONE_YEAR, include_subdomains=True, override=True
                ),
            ),
            custom_headers_behavior=cloudfront.ResponseCustomHeadersBehavior(
                custom_headers=[
                    cloudfront.ResponseCustomHeader(
                        header="Permissions-Policy",
                        value=headers["Permissions-Policy"],
                        override=True,
                    )
                ]
            ),
        )
        return cloudfront.BehaviorOptions(
            origin=origins.S3BucketOrigin.with_origin_access_control(
                self._bucket,
                origin_access_control=cloudfront.S3OriginAccessControl(
                    self, "Access", origin_access_control_name=_global_name(stage)
                ),
            ),
            viewer_protocol_policy=cloudfront.ViewerProtocolPolicy.REDIRECT_TO_HTTPS,
            response_headers_policy=policy,
        )

    def _token(self, api_endpoint: str) -> cloudfront.BehaviorOptions:
        return cloudfront.BehaviorOptions(
            # The endpoint is https://<host>, of which an origin takes the host.
            origin=origins.HttpOrigin(
                Fn.select(2, Fn.split("/", api_endpoint)),
                protocol_policy=cloudfront.OriginProtocolPolicy.HTTPS_ONLY,
                origin_ssl_protocols=[cloudfront.OriginSslPolicy.TLS_V1_2],
            ),
            # DELETE comes only with everything else; API Gateway routes just what exists.
            allowed_methods=cloudfront.AllowedMethods.ALLOW_ALL,
            # A redirect would have sent the caller's token in the clear already.
            viewer_protocol_policy=cloudfront.ViewerProtocolPolicy.HTTPS_ONLY,
            cache_policy=cloudfront.CachePolicy.CACHING_DISABLED,
            # Authorization travels only with all headers, and API Gateway wants its own Host.
            origin_request_policy=cloudfront.OriginRequestPolicy.ALL_VIEWER_EXCEPT_HOST_HEADER,
        )

    def _publish(self, stage: StageConfig) -> None:
        config = {
            "issuer": stage.issuer,
            "client_id": stage.audiences[0],
            "token_url": "/token",
        }
        files = [
            deployment.Source.data(name, path.read_text(encoding="utf-8"))
            for name, path in FILES.items()
        ]
        published = deployment.BucketDeployment(
            self,
            "Publish",
            destination_bucket=self._bucket,
            sources=[*files, deployment.Source.json_data("config.json", config)],
            # Names stay the same from release to release, so CloudFront and browsers have to ask.
            cache_control=[deployment.CacheControl.no_cache()],
            retain_on_delete=False,
            log_group=log_group(self, "PublishLog", stage=stage),
        )
        copier = published.handler_role.node.scope
        stack = Stack.of(self)
        files_id = stack.get_logical_id(cast("CfnElement", self._bucket.node.default_child))
        # An account may be bootstrapped under another qualifier than the CDK's own.
        qualifier = (
            self.node.try_get_context(BOOTSTRAP_QUALIFIER)
            or DefaultStackSynthesizer.DEFAULT_QUALIFIER
        )
        # The finding names what the template leaves open as CloudFormation does.
        partition, account, region = (
            f"<AWS::{name}>" if Token.is_unresolved(value) else value
            for name, value in (
                ("Partition", stack.partition),
                ("AccountId", stack.account),
                ("Region", stack.region),
            )
        )
        assets = f"arn:{partition}:s3:::cdk-{qualifier}-assets-{account}-{region}/*"
        buckets = (
            f"AwsSolutions::AwsSolutions-IAM5[Resource::{bucket}]"
            for bucket in (f"<{files_id}.Arn>/*", assets)
        )
        Validations.of(cast("Construct", copier)).acknowledge(
            *(
                Acknowledgment(id=rule, reason=COPIER)
                for rule in (*ACKNOWLEDGED_OF_COPIER, *buckets)
            )
        )


def _global_name(stage: StageConfig) -> str:
    # CloudFront has no regions: the same stage in two of them needs two names.
    return f"token-vendor-{stage.stage}-{Aws.REGION}"


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
