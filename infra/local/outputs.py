"""Where everything of a running local stack is."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """What clients of the running stack need; `.local/outputs.json` holds it."""

    api_url: str
    token_url: str
    issuer: str
    client_id: str
    audience: str
    aurora_url: str
    aurora_tenant_id: str
    aws_endpoint_url: str
    region: str
    table_name: str
    secret_arn: str
    function_name: str
    log_group: str
    demo_url: str
