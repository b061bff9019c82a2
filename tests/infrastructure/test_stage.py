"""A wrong option of cdk.json is told in one line: the option, its value, what is allowed."""

import math
from dataclasses import Field, fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from token_vendor.options import Names, Pairs
from token_vendor.settings import Options, Settings

from infra.stage import StageConfig, StageError, parse_override
from infra.stage.options_page import OPTIONS, PAGE, shown_default, with_declarations
from infra.stage.reader import REMOVED
from tests.infrastructure.conftest import FILLED_IN, cdk_json, filled_in


@pytest.mark.parametrize("stage", ["sandbox", "production", "local"])
def test_stage_as_it_is_in_cdk_json_is_refused(stage: str) -> None:
    """Every placeholder is named in one run; filled in, the stage is right."""
    stages = cdk_json()["context"]["stages"]
    with pytest.raises(StageError) as refusal:
        StageConfig.read(stages, stage, {})
    lines = str(refusal.value).splitlines()
    assert all("a placeholder; fill in" in line for line in lines)
    keys = {line.removeprefix(f"stages.{stage}.").split(" = ")[0] for line in lines}
    assert {"issuer", "audiences", "aurora_tenant_id"} <= keys
    values = {**FILLED_IN, "aurora_url": "http://127.0.0.1:8000"}
    StageConfig.read(stages, stage, {key: values[key] for key in keys})


TOPIC = "arn:aws:sns:eu-west-1:111122223333:alarms"
# What the function checks too, by the same declarations, is in tests/unit/test_settings.py.
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "unknown": (
        {"audience": ["app"]},
        'stages.sandbox.audience = ["app"]: no such option; the nearest is audiences',
    ),
    "placeholder in a list": ({"audiences": ["<id>"]}, 'audiences = ["<id>"]: a placeholder'),
    "text for a list": ({"audiences": "app"}, 'audiences = "app": must be a list of texts'),
    "no audience": ({"audiences": []}, "audiences = []: API Gateway takes 1 to 50"),
    "comma in an entry": ({"invite_domains": ["a.com,b.com"]}, 'invite_domains = ["a.com,b.com"]'),
    "text for a number": (
        {"memory_mb": "512"},
        'memory_mb = "512": must be a whole number, without quotes',
    ),
    "number for a text": ({"issuer": 5}, "issuer = 5: must be a text (the https address"),
    "fraction for a whole number": ({"memory_mb": 512.5}, "memory_mb = 512.5"),
    "true for a number": (
        {"refresh_margin": True},
        "refresh_margin = true: must be a number, without quotes",
    ),
    "number for true": ({"disposable": 1}, "disposable = 1: must be true or false, without quotes"),
    "not a number": ({"refresh_margin": math.nan}, "refresh_margin = NaN: must be from 0 to"),
    "too small": ({"memory_mb": 128}, "memory_mb = 128: must be from 256 to 10240 (MB)"),
    "null": ({"issuer": None}, "issuer = null"),
    "list for an object": (
        {"invite_levels_by_group": []},
        "invite_levels_by_group = []: must be an object of texts",
    ),
    "number in an object": ({"invite_levels_by_group": {"a": 1}}, 'an object {"group": "level"}'),
    "issuer in plain http": ({"issuer": "http://id.example.com"}, "issuer = "),
    "issuer without host": ({"issuer": "https://"}, 'issuer = "https://"'),
    "issuer with port of letters": ({"issuer": "https://a.example:port"}, "issuer = "),
    "time zone that is none": (
        {"time_zone": "Europe/Berlinn"},
        'time_zone = "Europe/Berlinn": the IANA database has no such time zone',
    ),
    "schedule that is empty": (
        {"prewarm_schedule": ""},
        'prewarm_schedule = "": must be when `prewarm` works',
    ),
    "schedule of one moment": (
        {"directory_schedule": "at(2026-11-20T13:00:00)"},
        'directory_schedule = "at(2026-11-20T13:00:00)": must be cron(…) or rate(…): at(…) starts',
    ),
    "schedule as a crontab has it": (
        {"prewarm_schedule": "cron(0 6 * * MON)"},
        'prewarm_schedule = "cron(0 6 * * MON)": cron takes six fields',
    ),
    "origin with a path": (
        {"cors_origins": ["https://a.example/"]},
        'cors_origins = ["https://a.example/"]',
    ),
    "any origin": ({"cors_origins": ["*"]}, 'cors_origins = ["*"]'),
    "any host of a domain": ({"cors_origins": ["https://*.example"]}, "cors_origins = "),
    "host of the other environment": (
        {"aurora_url": "https://api.aurorasolar.com"},
        'that host is the "production" environment',
    ),
    "Aurora with a password": ({"aurora_url": "https://me@a.example"}, "aurora_url = "),
    "tenant with the key's separator": ({"aurora_tenant_id": "a#b"}, 'aurora_tenant_id = "a#b"'),
    "e-mail for a domain": ({"invite_domains": ["me@a.example"]}, "invite_domains = "),
    "no e-mail": ({"alarm_email": "team"}, 'alarm_email = "team": must be the address'),
    "odd retention": (
        {"log_retention_days": 31},
        "log_retention_days = 31: CloudWatch Logs takes one of (1, 3, 5",
    ),
    "claim without a name": ({"claim_email": ""}, 'claim_email = "": must be the name of a claim'),
    "origin with the default port": ({"cors_origins": ["https://a.example:443"]}, "cors_origins"),
    "origin in capitals": ({"cors_origins": ["https://App.example"]}, "cors_origins = "),
    "issuer that is its discovery document": (
        {"issuer": "https://a.example/.well-known/openid-configuration"},
        "without /.well-known/",
    ),
    "issuer with a blank": ({"issuer": "https://a.example/ "}, "issuer = "),
    "issuer of every tenant": (
        {"issuer": "https://login.microsoftonline.com/common/v2.0"},
        "one tenant's",
    ),
    "issuer with a template": (
        {"issuer": "https://login.microsoftonline.com/{tenantid}/v2.0"},
        "one tenant's",
    ),
    "header value with a line": (
        {"aurora_version_header": "X-Version", "aurora_version": "1\n2"},
        "aurora_version = ",
    ),
    "level on two lines": ({"invite_level": "SDK\nUser"}, "invite_level = "),
    "more audiences than AWS takes": (
        {"audiences": [f"app-{number}" for number in range(51)]},
        "API Gateway takes 1 to 50",
    ),
    "more variables than AWS takes": (
        {"invite_domains": [f"a-long-domain-of-number-{n}.example.com" for n in range(90)]},
        "Lambda takes 4096",
    ),
    "fewer environments than are kept warm": (
        {"provisioned_concurrency": 3, "reserved_concurrency": 2},
        "must be at least provisioned_concurrency",
    ),
    "a topic of another service": (
        {"alarm_topic_arn": "arn:aws:sqs:eu-west-1:111122223333:alarms"},
        "the ARN of an SNS topic",
    ),
    "an address for another's topic": (
        {"alarm_topic_arn": TOPIC, "alarm_email": "ops@example.com"},
        "subscribe it to alarm_topic_arn",
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
    with pytest.raises(StageError, match=r"stages\.mine\.issuer: missing: the https address"):
        StageConfig.read({"mine": {}}, "mine", {})


def test_one_run_names_every_fault() -> None:
    """A type, a bound, two options that contradict each other, and one that is missing."""
    wrong = {
        "memory_mb": "1024",
        "directory_ttl": 0,
        "snap_start": True,
        "provisioned_concurrency": 1,
    }
    with pytest.raises(StageError) as caught:
        StageConfig.read({"mine": {**wrong, "audiences": ["a"], "cors_origins": []}}, "mine", {})
    named = {line.split(" ")[0].split(":")[0] for line in str(caught.value).splitlines()}
    faults = {*("memory_mb", "directory_ttl", "snap_start", "issuer"), "aurora_environment"}
    assert named == {f"stages.mine.{name}" for name in (*faults, "aurora_tenant_id")}


@pytest.mark.parametrize("stage", [None, "", "prod", 5, ["sandbox"]])
def test_unknown_stage_is_answered_with_the_known_ones(stage: object) -> None:
    with pytest.raises(StageError, match=r"cdk\.json.*; it has local, production, sandbox$"):
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
    stage = filled_in("local", issuer=url, aurora_url=url, cors_origins=[url])
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


TEXTS = st.from_regex(r"[A-Za-z0-9 _.-]{0,20}", fullmatch=True)
VALUES: dict[Any, st.SearchStrategy[Any]] = {
    str: TEXTS,
    int: st.integers(-10, 20_000),
    float: st.one_of(st.integers(-10, 20_000), st.floats()),
    bool: st.booleans(),
    Names: st.lists(TEXTS, max_size=3),
    Pairs: st.dictionaries(TEXTS, TEXTS, max_size=3),
}
STACKS = {"TABLE_NAME": "tokens", "AURORA_SECRET_ARN": "arn"}


@given(st.data())
@hypothesis_settings(deadline=None)
def test_the_function_reads_what_the_stage_accepts(data: st.DataObject) -> None:
    """Whatever a stage accepts, the function reads as the same value from its environment."""
    chosen = data.draw(st.lists(st.sampled_from(fields(Options)), max_size=4, unique=True))
    override = {each.name: data.draw(VALUES[each.type]) for each in chosen}
    override.pop("stage", None)
    try:
        stage = filled_in("sandbox", **override)
    except StageError:
        return
    settings = Settings.from_environment({**stage.variables(), **STACKS})
    for each in fields(Options):
        if each.name != "aurora_url":
            assert getattr(settings, each.name) == getattr(stage, each.name)
    assert settings.aurora_url == stage.aurora_origin


@pytest.mark.parametrize(
    "option",
    [each for each in fields(StageConfig) if each.name != "stage"],
    ids=lambda each: each.name,
)
def test_the_page_explains_every_option(option: Field[Any]) -> None:
    """One of the tables by topic has a row for it, with the declared default."""
    page = PAGE.read_text()
    assert page.count(f"\n| `{option.name}` | {shown_default(option)} | ") == 1


def test_the_page_has_the_options_of_today() -> None:
    """`make docs` writes the table; what is committed has to be what it would write."""
    assert with_declarations(PAGE.read_text()) == PAGE.read_text()


def test_every_option_that_is_gone_says_what_holds() -> None:
    gone = [name for names in REMOVED for name in names]
    assert not set(gone) & set(OPTIONS)
    assert len(OPTIONS) <= 60
    with pytest.raises(StageError) as refusal:
        filled_in("sandbox", **dict.fromkeys(gone, 1))
    lines = str(refusal.value).splitlines()
    assert len(lines) == len(gone)
    assert all(" = 1: gone since 0.3: delete the line; " in line for line in lines)


def test_shortest_function_outlives_one_call_to_aurora() -> None:
    """The least `function_timeout` is bounded by times that no stage changes."""
    variables = filled_in("sandbox", function_timeout=14).variables()
    assert not list(Settings.from_environment({**variables, **STACKS}).contradictions())
