"""What `make run` shows: each step, the first answer, and what to try then."""

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import urllib3
from rich.console import Console

from infra.fake_aurora.users import JESSICA
from infra.local.processes import LocalStackError
from infra.local.stack import NEWCOMER, Aurora, LocalStack, Ports, local_stack

PORTS = Ports(aws=4566, aurora=9400, issuer=9401, demo=9402)
VEND_TIMEOUT = 30
SHOWN_OF_JWT = 24

console = Console(highlight=False)


def run(directory: Path) -> None:
    """Start everything in the folder, vend a first token, and stay until Ctrl-C."""
    started = time.monotonic()
    end = threading.Event()
    aurora = _named_aurora()
    # The sample caller must not cost a seat, or get an e-mail, in somebody's real tenant.
    override = {"invitations": os.environ.get("AURORA_INVITE") == "true"} if aurora else {}
    with (
        _until_told(end),
        local_stack(directory, ports=PORTS, aurora=aurora, override=override, step=_step) as stack,
    ):
        if aurora and not override["invitations"]:
            console.print(f"Nobody is invited at {aurora.url}; AURORA_INVITE=true lets it happen.")
        welcome(directory, stack, started)
        # Short waits: a signal that arrives just before a wait is handled when that wait ends.
        while not end.wait(1):
            pass


def welcome(directory: Path, stack: LocalStack, started: float) -> None:
    """Vend a first token; print it, the seconds since `time.monotonic()` was that, what to try."""
    with _step(f"{JESSICA['email']} signs in"):
        id_token = stack.sign_in(JESSICA["email"])
    with _step("POST /token"):
        answer = _vend(stack, id_token)
    _show_other_ports(stack)
    _show(answer, time.monotonic() - started)
    if stack.is_without_codedeploy:
        console.print("canary: MiniStack lacks CodeDeploy, so it is deployed all at once.")
    _show_what_to_do(directory, stack, answer.get("token", {}).get("jti", ""))


def _vend(stack: LocalStack, id_token: str) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {id_token}"}
    url = stack.outputs.token_url
    answer = urllib3.request("POST", url, headers=headers, retries=False, timeout=VEND_TIMEOUT)
    return {"status": answer.status, **answer.json()}


def _named_aurora() -> Aurora | None:
    # The key is taken out: no process that is started from here inherits it.
    key = os.environ.pop("AURORA_API_KEY", "")
    named = {name: os.environ.get(name) for name in ("AURORA_URL", "AURORA_TENANT_ID")}
    named["AURORA_API_KEY"] = key
    if not any(named.values()):
        return None
    if missing := [name for name, value in named.items() if not value]:
        raise LocalStackError(f"Another Aurora needs all three; missing: {', '.join(missing)}")
    return Aurora(
        url=str(named["AURORA_URL"]).rstrip("/"),
        tenant_id=str(named["AURORA_TENANT_ID"]),
        environment="production" if "_prod_" in key[:8] else "sandbox",
        api_key=key,
    )


@contextmanager
def _until_told(end: threading.Event) -> Iterator[None]:
    # The first signal ends the stack in good order, while it starts as well as when it is up; those
    # that follow must not interrupt the clearing away.
    def interrupt(_number: int, _frame: object) -> None:
        for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(each, signal.SIG_IGN)
        end.set()
        raise KeyboardInterrupt

    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, interrupt)
    try:
        yield
    except KeyboardInterrupt:
        console.print("stopped; nothing is left running")


@contextmanager
def _step(name: str) -> Iterator[None]:
    started = time.monotonic()
    with console.status(name):
        yield
    console.print(f"[green]✓[/] {name:<45} [dim]{time.monotonic() - started:5.1f} s[/]")


def _show(answer: dict[str, Any], seconds: float) -> None:
    token = answer.get("token", {})
    if "jwt" in token:
        token["jwt"] = f"{token['jwt'][:SHOWN_OF_JWT]}… ({len(token['jwt'])} characters)"
    console.print(f"\nThe first answer, {seconds:.0f} s after the start:")
    console.print_json(json.dumps(answer, ensure_ascii=False))


def _show_other_ports(stack: LocalStack) -> None:
    outputs = stack.outputs
    places = {
        "AWS": (PORTS.aws, outputs.aws_endpoint_url),
        "The OIDC provider": (PORTS.issuer, outputs.issuer),
        "The demo page": (PORTS.demo, outputs.demo_url),
    }
    if stack.fake_aurora:
        places["The fake Aurora"] = (PORTS.aurora, outputs.aurora_url)
    for what, (port, url) in places.items():
        if urlsplit(url).port != port:
            console.print(f"[yellow]![/] Port {port} is taken; {what} is at {url}")


def _show_what_to_do(directory: Path, stack: LocalStack, jti: str) -> None:
    outputs = stack.outputs
    python = Path(sys.executable)
    if python.is_relative_to(Path.cwd()):
        python = python.relative_to(Path.cwd())
    login = f"{python} -m infra.local login"
    rejected = json.dumps({"replace": jti})
    call = f'-H "Authorization: Bearer $ID_TOKEN" {outputs.token_url}'
    lines = [
        ("Sign somebody in", f"ID_TOKEN=$({login} {JESSICA['email']})"),
        ("Get the token", f"curl -s -X POST {call}"),
        (
            "Say that it failed: Aurora generates a second one",
            f"curl -s -X POST -d '{rejected}' {call}",
        ),
        ("Sign out", f"curl -s -i -X DELETE {call}"),
    ]
    if stack.fake_aurora:
        control = f"{outputs.aurora_url}/_control"
        fault = '{"faults": [{"operation": "generate_token", "kind": "status", "status": 503}]}'
        newcomer = f'-H "Authorization: Bearer $({login} {NEWCOMER})" {outputs.token_url}'
        lines += [
            (
                "Let Aurora fail at the next generate",
                f"curl -s -X PUT -d '{fault}' {control}/faults",
            ),
            ("Invite somebody new: the generate fails", f"curl -s -X POST {newcomer}"),
            (
                "What Aurora saw; what you say failed is a double generate",
                f"curl -s {control}/stats",
            ),
        ]
    console.print("\nTo try:")
    for what, line in lines:
        console.print(f"  [dim]# {what}[/]\n  {line}", soft_wrap=True, markup=True)
    console.print(f"\nDemo page  {outputs.demo_url} (sign in as {JESSICA['email']})")
    console.print(f"Logs       {directory}/*.log")
    console.print(f"Ctrl-C ends it, and from elsewhere make stop (process {os.getpid()}).")
