"""
A wrong option of cdk.json is told in one line: the option, its value, what is allowed.
"""

from __future__ import annotations

import math
from dataclasses import fields
from typing import Any

import pytest

from infra.bundling import ROOT
from infra.options import StageError
from infra.stage import StageConfig, parse_override
from tests.infrastructure.conftest import FILLED_IN, cdk_json, filled_in


@pytest.mark.parametrize("stage", ["sandbox", "production", "local"])
def test_stage_as_it_is_in_cdk_json_is_refused(stage: str) -> None:
    """
    Every placeholder is refused, one after the other, until none is left.
    """
    stages = cdk_json()["context"]["stages"]
    override: dict[str, Any] = {}
    while True:
        try:
            StageConfig.read(stages, stage, override)
        except StageError as error:
            (line,) = str(error).splitlines()
            assert "a placeholder; fill in" in line
            key = line.removeprefix(f"stages.{stage}.").split(" = ")[0]
            override[key] = {**FILLED_IN, "aurora_url": "http://127.0.0.1:8000"}[key]
        else:
            break
    assert {"issuer", "audiences", "aurora_tenant_id"} <= override.keys()


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "unknown": (
        {"audience": ["app"]},
        "stages.sandbox.audience: no such option; the nearest is audiences",
    ),
    "placeholder in a list": ({"audiences": ["<id>"]}, 'audiences = ["<id>"]: a placeholder'),
    "text for a list": ({"audiences": "app"}, 'audiences = "app": a list'),
    "no audience": ({"audiences": []}, "audiences = []: a list"),
    "comma in an entry": ({"invite_domains": ["a.com,b.com"]}, 'invite_domains = ["a.com,b.com"]'),
    "text for a number": ({"memory_mb": "512"}, 'memory_mb = "512": MB'),
    "number for a text": ({"issuer": 5}, "issuer = 5: the https address"),
    "fraction for a whole number": ({"memory_mb": 512.5}, "memory_mb = 512.5"),
    "true for a number": ({"cool_down": True}, "cool_down = true: seconds"),
    "number for true": ({"disposable": 1}, "disposable = 1: true"),
    "not a number": ({"patience": math.nan}, "patience = NaN: 0 to 20"),
    "infinite": ({"request_rate": math.inf}, "request_rate = Infinity"),
    "too small": ({"memory_mb": 128}, "memory_mb = 128: 256 to 10240 (MB)"),
    "too long for API Gateway": ({"function_timeout": 29}, "function_timeout = 29: 5 to 28"),
    "null": ({"issuer": None}, "issuer = null"),
    "list for an object": (
        {"invite_levels_by_group": []},
        "invite_levels_by_group = []: an object",
    ),
    "number in an object": ({"invite_levels_by_group": {"a": 1}}, 'an object {"group": "level"}'),
    "issuer in plain http": ({"issuer": "http://id.example.com"}, "issuer = "),
    "issuer without host": ({"issuer": "https://"}, 'issuer = "https://"'),
    "issuer with port of letters": ({"issuer": "https://a.example:port"}, "issuer = "),
    "origin with a path": (
        {"cors_origins": ["https://a.example/"]},
        'cors_origins = ["https://a.example/"]',
    ),
    "any origin": ({"cors_origins": ["*"]}, 'cors_origins = ["*"]'),
    "any host of a domain": ({"cors_origins": ["https://*.example"]}, "cors_origins = "),
    "other environment": (
        {"aurora_environment": "test"},
        'aurora_environment = "test": "sandbox" or',
    ),
    "host of the other environment": (
        {"aurora_url": "https://api.aurorasolar.com"},
        'that host is the "production" environment',
    ),
    "Aurora with a password": ({"aurora_url": "https://me@a.example"}, "aurora_url = "),
    "tenant with a slash": ({"aurora_tenant_id": "a/b"}, 'aurora_tenant_id = "a/b"'),
    "tenant with the key's separator": ({"aurora_tenant_id": "a#b"}, 'aurora_tenant_id = "a#b"'),
    "e-mail for a domain": ({"invite_domains": ["me@a.example"]}, "invite_domains = "),
    "no e-mail": ({"alarm_email": "team"}, 'alarm_email = "team": the address'),
    "odd retention": ({"log_retention_days": 31}, "log_retention_days = 31: one of (1, 3, 5"),
    "claim without a name": ({"claim_email": ""}, 'claim_email = "": the name of a claim'),
    "version without header": (
        {"aurora_version": "2024"},
        "goes together with aurora_version_header",
    ),
    "more than Aurora allows": (
        {"request_rate": 90},
        "is 100.5, which may not be above aurora_rate_limit, 90",
    ),
    "burst that tips the scales": ({"request_burst": 4}, "is 90.6667, which may not"),
    "read past the function's end": (
        {"aurora_read_timeout": 22},
        "1 s before function_timeout, 25",
    ),
    "patience past the function's end": (
        {"patience": 15, "function_timeout": 14},
        "has to be below function_timeout, 14",
    ),
    "two ways to stay warm": (
        {"snap_start": True, "provisioned_concurrency": 1},
        "AWS refuses it together",
    ),
}


@pytest.mark.parametrize(("override", "told"), REFUSED.values(), ids=REFUSED.keys())
def test_wrong_option_is_refused(override: dict[str, Any], told: str) -> None:
    with pytest.raises(StageError) as refusal:
        filled_in("sandbox", **override)
    (line,) = str(refusal.value).splitlines()
    assert line.startswith("stages.sandbox.")
    assert told in line


def test_missing_option_is_named() -> None:
    with pytest.raises(StageError, match=r"^stages\.mine\.issuer is missing: the https address"):
        StageConfig.read({"mine": {}}, "mine", {})


@pytest.mark.parametrize("stage", [None, "", "prod", 5, ["sandbox"]])
def test_unknown_stage_is_answered_with_the_known_ones(stage: object) -> None:
    with pytest.raises(StageError, match=r"cdk\.json has the stages local, production, sandbox$"):
        StageConfig.read(cdk_json()["context"]["stages"], stage, {})


@pytest.mark.parametrize("name", ["Sandbox", "a_b", "1st", "a" * 21])
def test_stage_name_that_aws_could_refuse_is_refused(name: str) -> None:
    with pytest.raises(StageError, match="1 to 20 of a-z, 0-9 and -"):
        StageConfig.read({name: {**FILLED_IN, "aurora_environment": "sandbox"}}, name, {})


@pytest.mark.parametrize("text", ["{", "[]", "5", '"text"'])
def test_override_that_is_no_object_is_refused(text: str) -> None:
    with pytest.raises(StageError, match=r"^-c override="):
        parse_override(text)


@pytest.mark.parametrize("text", [None, "", "{}"])
def test_no_override_overrides_nothing(text: str | None) -> None:
    assert parse_override(text) == {}


@pytest.mark.parametrize("url", ["http://127.0.0.1:8000", "http://localhost:8000"])
def test_loopback_may_do_without_tls(url: str) -> None:
    stage = filled_in("sandbox", issuer=url, aurora_url=url, cors_origins=[url])
    assert stage.aurora_origin == url


@pytest.mark.parametrize(
    ("stage", "origin"),
    [
        ("sandbox", "https://api-sandbox.aurorasolar.com"),
        ("production", "https://api.aurorasolar.com"),
    ],
)
def test_aurora_is_found_by_its_environment(stage: str, origin: str) -> None:
    config = filled_in(stage)
    assert config.aurora_origin == config.variables()["AURORA_URL"] == origin


def test_variables_are_written_as_the_function_reads_them() -> None:
    variables = filled_in(
        "sandbox",
        patience=2.5,
        queue_horizon=3600,
        invitations=False,
        invite_domains=["a.example", "b.example"],
        invite_levels_by_group={"designers": "Team Member"},
    ).variables()
    assert variables["PATIENCE"] == "2.5"
    assert variables["QUEUE_HORIZON"] == "3600"
    assert variables["INVITATIONS"] == "false"
    assert variables["INVITE_DOMAINS"] == "a.example,b.example"
    assert variables["INVITE_LEVELS_BY_GROUP"] == '{"designers": "Team Member"}'
    assert "ISSUER" not in variables


@pytest.mark.parametrize("option", [each.name for each in fields(StageConfig)])
def test_readme_names_every_option(option: str) -> None:
    """
    Each stands in the table of options; the stage's own name is what `cdk.json` calls it by.
    """
    rows = [line for line in (ROOT / "README.md").read_text().splitlines() if line[:3] == "| `"]
    assert option == "stage" or any(f"`{option}`" in row.split(" | ")[0] for row in rows)
