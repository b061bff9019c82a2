"""The only way in: an HTTP API whose two routes ask for the caller's own OIDC token."""

import json
from math import ceil

from aws_cdk import Duration
from aws_cdk import aws_apigatewayv2 as apigw
from aws_cdk import aws_apigatewayv2_authorizers as authorizers
from aws_cdk import aws_apigatewayv2_integrations as integrations
from aws_cdk import aws_certificatemanager as acm
from aws_cdk import aws_lambda as lambda_
from constructs import Construct
from token_vendor.settings import GATEWAY_TIMEOUT

from infra.stack.storage import log_group
from infra.stage import StageConfig

# Enough to find a request again and to see who failed it.  Nothing of the caller: no address, no
# header, no claim, and the route instead of the path, which a client may fill with anything. No
# error's own words either: AWS does not say that it escapes them, and a quote would end the line.
ACCESS_LOG = {
    "request_id": "$context.requestId",
    "time": "$context.requestTimeEpoch",
    "route": "$context.routeKey",
    "status": "$context.status",
    "response_bytes": "$context.responseLength",
    "latency_ms": "$context.responseLatency",
    "lambda_latency_ms": "$context.integrationLatency",
    "lambda_status": "$context.integrationStatus",
    "gateway_error": "$context.error.responseType",
}


class Api(Construct):
    """
    Own the HTTP API, its authorizer, routes, throttle, access log and, if it has one, domain.

    With `http_api`, the routes are added to that one, whose owner keeps its stage, CORS, throttle
    and domain. `dns` are outputs for the owner of the domain's records.
    """

    def __init__(  # noqa: PLR0913 - two of them are somebody else's.
        self,
        scope: Construct,
        id_: str,
        *,
        handler: lambda_.IFunction,
        stage: StageConfig,
        http_api: apigw.HttpApi | None = None,
        authorizer: apigw.IHttpRouteAuthorizer | None = None,
    ) -> None:
        super().__init__(scope, id_)
        self.api = http_api or apigw.HttpApi(
            self,
            "HttpApi",
            api_name=f"aurora-token-vendor-{stage.stage}",
            create_default_stage=False,
            # A firewall or a policy before the domain would be passed by through this address.
            disable_execute_api_endpoint=bool(stage.domain_name) or None,
            cors_preflight=_cors(stage),
        )
        self.api.add_routes(
            path="/token",
            methods=[apigw.HttpMethod.POST, apigw.HttpMethod.DELETE],
            integration=integrations.HttpLambdaIntegration(
                "Vend",
                handler,
                payload_format_version=apigw.PayloadFormatVersion.VERSION_2_0,
                timeout=Duration.seconds(GATEWAY_TIMEOUT),
            ),
            authorizer=authorizer
            or authorizers.HttpJwtAuthorizer(
                "Caller", stage.issuer, jwt_audience=list(stage.audiences)
            ),
        )
        domain = None
        if not http_api:
            domain = self._domain(stage) if stage.domain_name else None
            self._add_stage(stage, domain)
        self.url = f"https://{stage.domain_name}" if domain else self.api.api_endpoint
        self.dns = (
            {
                "DomainTarget": domain.regional_domain_name,
                "DomainTargetZoneId": domain.regional_hosted_zone_id,
            }
            if domain
            else {}
        )

    def _domain(self, stage: StageConfig) -> apigw.DomainName:
        return apigw.DomainName(
            self,
            "Domain",
            domain_name=stage.domain_name,
            certificate=acm.Certificate.from_certificate_arn(
                self, "Certificate", stage.certificate_arn
            ),
            security_policy=apigw.SecurityPolicy.TLS_1_2,
        )

    def _add_stage(self, stage: StageConfig, domain: apigw.DomainName | None) -> None:
        deployed = apigw.HttpStage(
            self,
            "Stage",
            http_api=self.api,
            stage_name="$default",
            auto_deploy=True,
            throttle=apigw.ThrottleSettings(
                rate_limit=stage.throttle_rate, burst_limit=ceil(2 * stage.throttle_rate)
            ),
        )
        resource = deployed.node.default_child
        assert isinstance(resource, apigw.CfnStage)  # noqa: S101 (narrows the type for mypy)
        resource.access_log_settings = apigw.CfnStage.AccessLogSettingsProperty(
            destination_arn=log_group(self, "AccessLog", stage=stage).log_group_arn,
            format=json.dumps(ACCESS_LOG),
        )
        if domain:
            apigw.ApiMapping(self, "Mapping", api=self.api, domain_name=domain, stage=deployed)


def _cors(stage: StageConfig) -> apigw.CorsPreflightOptions | None:
    if not stage.cors_origins:
        return None
    return apigw.CorsPreflightOptions(
        allow_origins=list(stage.cors_origins),
        allow_methods=[apigw.CorsHttpMethod.POST, apigw.CorsHttpMethod.DELETE],
        allow_headers=["authorization", "content-type"],
        # Without this a browser hides from the page when it may come back.
        expose_headers=["retry-after"],
        # The most that a browser keeps (Firefox); Chromium keeps it for two hours.
        max_age=Duration.days(1),
    )
