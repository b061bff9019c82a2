"""
An Aurora that means harm: whatever it sends, the caller gets a problem of the catalogue in time.

The fake Aurora plays what a server can do within HTTP; the raw servers of this file play what only
a socket can: drips between any two bytes, and TLS that proves nothing.
"""

import datetime as dt
import json
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import jwt
import pytest
import trustme
from token_vendor.aurora_http import retry_after

from tests.integration.conftest import Deployment
from tests.support.events import Answer, event

GENERATE = "generate_token"
JESSICA_ID = "3fa85f64-5717-4562-b3fc-2c963f66afa6"
ROBERT_ID = "4bc45f64-5717-4562-b3fc-2c963f66afa6"
JESSICA_ROW = {
    "id": JESSICA_ID,
    "email": "jessica.smith@aurorasolar.com",
    "account_status": "active",
}
CLAIMS = {"email": "jessica.smith@aurorasolar.com", "email_verified": "true"}
LONG = 15.0
"""Seconds after which a drip ends, with another problem: what should have ended it did not."""


@contextmanager
def raw_server(talk: Callable[[Any], None], wrap: ssl.SSLContext | None = None) -> Iterator[int]:
    """Serve on loopback, a thread per connection, with `talk` in charge of every byte."""
    listener = socket.create_server(("127.0.0.1", 0))
    connections: list[socket.socket] = []
    threads: list[threading.Thread] = []

    def serve(connection: socket.socket) -> None:
        # A client that gives up, or refuses the certificate, is what these tests are about.
        with connection, suppress(OSError):
            if wrap is None:
                talk(connection)
                return
            with wrap.wrap_socket(connection, server_side=True, do_handshake_on_connect=False) as s:
                # Known to the end of the test, which hangs up where the client does not.
                connections.append(s)
                s.do_handshake()
                talk(s)

    def accept() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                connections.append(connection)
                threads.append(threading.Thread(target=serve, args=(connection,), daemon=True))
                threads[-1].start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        # Closing alone does not wake a thread that waits in accept().
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for connection in connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for each in (thread, *threads):
            each.join(5)


def request_of(connection: Any) -> bytes:
    """Read one request, header and body; empty where the client has gone."""
    request = b""
    while chunk := connection.recv(65_536):
        request += chunk
        head, separator, body = request.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
        if separator and len(body) >= int(length[1] if length else 0):
            return request
    return b""


def drip(*, first: bytes, then: bytes, pause: float = 0.05) -> Callable[[Any], None]:
    """Send `first` at once and then `then` again and again, so that no single read is late."""

    def talk(connection: Any) -> None:
        connection.recv(65_536)
        connection.sendall(first)
        end = time.monotonic() + LONG
        while time.monotonic() < end:
            connection.sendall(then)
            time.sleep(pause)

    return talk


OK = b"HTTP/1.1 200 OK\r\n"
DRIPS = {
    "headers": (OK, b"X-A: b\r\n"),
    "one-header": (OK + b"X-A: ", b"a"),
    "interim-answers": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "body-with-a-length": (OK + b"Content-Length: 100000\r\n\r\n", b" "),
    "chunks": (OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    "trailers": (OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"X-A: b\r\n"),
}


@pytest.mark.parametrize("name", DRIPS)
def test_drip_ends_at_the_read_timeout(deployment: Deployment, name: str) -> None:
    """Every read succeeds, the answer never ends: only a watch over the whole answer helps."""
    first, then = DRIPS[name]
    with raw_server(drip(first=first, then=then)) as port:
        deployment.restart(AURORA_URL=f"http://127.0.0.1:{port}", AURORA_READ_TIMEOUT="0.3")
        answer = deployment.vend()
    assert answer.slug == "aurora-timeout"
    assert answer.headers["content-type"] == "application/problem+json"


def test_silence_uses_no_more_than_what_is_left(deployment: Deployment) -> None:
    """Connecting and reading share the rest of the invocation, whatever the settings allow each."""
    with raw_server(drip(first=b"", then=b"")) as port:
        deployment.restart(AURORA_URL=f"http://127.0.0.1:{port}", AURORA_READ_TIMEOUT="20")
        # One second of an invocation is kept for storing and answering.
        answer = deployment.send(event(CLAIMS), remaining=2.0)
    assert answer.slug in {"aurora-timeout", "aurora-busy"}


@pytest.mark.parametrize("kind", ["huge_body", "gzip_bomb"])
@pytest.mark.parametrize("operation", ["list_users", GENERATE])
def test_memory_is_bounded(deployment: Deployment, operation: str, kind: str) -> None:
    """64 MB are neither held nor inflated."""
    deployment.aurora.fail({"operation": operation, "kind": kind, "size": 64_000_000, "times": 3})
    received = 0
    connection = deployment.parts.vendor.aurora.http._connection
    real = connection.request

    def counted(*arguments: Any, **options: Any) -> Any:
        nonlocal received
        answer = real(*arguments, **options)
        received = max(received, len(answer.data))
        return answer

    connection.request = counted  # type: ignore[method-assign]
    answer = deployment.vend()
    assert answer.slug == "aurora-invalid-response"
    # The bomb arrives as it was packed; the huge body is given up before its end.
    assert (10_000 < received < 1_000_000) if kind == "gzip_bomb" else received < 10_000


def generate_answer(claims: dict[str, Any] | bytes, **token: Any) -> bytes:
    """Return the HTTP answer of a generate with a JWT of these claims."""
    if isinstance(claims, bytes):
        body = claims
    else:
        encoded = jwt.encode(claims, "a secret of Aurora's own, thirty-two bytes", "HS256")
        body = json.dumps({"token": {"jwt": encoded} | token}).encode()
    return b"%sContent-Length: %d\r\n\r\n%s" % (OK, len(body), body)


def generating(generate: bytes) -> Callable[[Any], None]:
    """List Jessica, answer a generate with these bytes, and hang up."""
    listed = json.dumps({"users": [JESSICA_ROW]}).encode()

    def talk(connection: Any) -> None:
        while request := request_of(connection):
            if request.startswith(b"GET"):
                head = b"%sContent-Length: %d\r\n\r\n" % (OK, len(listed))
                connection.sendall(head + listed)
            else:
                connection.sendall(generate)
                return

    return talk


NOW = 1_750_000_000
GOOD = {"id": JESSICA_ID, "exp": NOW + 43_200, "jti": "c0480b0b-5959-4549-8125-b67de2ec3e70"}


BODIES = {
    "null": b"null",
    "deep": b"[" * 1_000_000,
    "not-utf-8": b'{"token": {"jwt": "\xff\xfe"}}',
    "half-a-surrogate": b'{"token": {"jwt": "\\ud800.\\ud800.\\ud800"}}',
    "long-number": b'{"token": ' + b"9" * 10_000 + b"}",
    "deep-claims": b'{"token": {"jwt": "e30.' + b"W1tb" * 3000 + b'.e30"}}',
}


@pytest.mark.parametrize("name", BODIES)
def test_body_that_is_no_token(deployment: Deployment, name: str) -> None:
    with raw_server(generating(generate_answer(BODIES[name]))) as port:
        deployment.restart(AURORA_URL=f"http://127.0.0.1:{port}")
        answer = deployment.vend()
    assert (answer.status, answer.slug) == (502, "aurora-invalid-response")


def test_body_that_is_cut_off_is_none(deployment: Deployment) -> None:
    """What came looks whole, but Aurora promised more."""
    whole = generate_answer(GOOD)
    longer = re.sub(rb"Content-Length: \d+", b"Content-Length: 100000", whole)
    with raw_server(generating(longer)) as port:
        deployment.restart(AURORA_URL=f"http://127.0.0.1:{port}")
        assert deployment.vend().slug == "aurora-unavailable"
    assert "generating_since" in deployment.item()


def test_page_is_asked_for_whatever_its_name(deployment: Deployment) -> None:
    """What Aurora names as its next page is sent as one address, in its own characters."""
    first = json.dumps({"users": [JESSICA_ROW], "next": "/users?cursor=a b\u00e9\r\nX: y"}).encode()
    rest = json.dumps({"users": []}).encode()
    paths: list[bytes] = []

    def talk(connection: Any) -> None:
        while request := request_of(connection):
            paths.append(request.split(b"\r\n")[0])
            body = rest if b"cursor" in paths[-1] else first
            connection.sendall(b"%sContent-Length: %d\r\n\r\n%s" % (OK, len(body), body))

    with raw_server(talk) as port:
        deployment.restart(AURORA_URL=f"http://127.0.0.1:{port}")
        deployment.vend()
    assert paths[1].endswith(b"/users?cursor=a%20b%C3%A9%0D%0AX:%20y HTTP/1.1")


@pytest.mark.parametrize(
    "jti", [None, 42, "j" * 5000, "\ud800", "\r\nX-Injected: yes"], ids=lambda jti: ascii(jti)[:9]
)
def test_jti_that_names_nothing_is_replaced_by_a_digest(deployment: Deployment, jti: Any) -> None:
    """The frontend must be able to say which token failed it, so that every token has a name."""
    with raw_server(generating(generate_answer(GOOD | {"jti": jti}))) as port:
        deployment.restart(AURORA_URL=f"http://127.0.0.1:{port}")
        answer = deployment.vend()
    assert answer.status == 200
    assert len(answer.jti) == 32
    assert answer.jti.isalnum()
    assert deployment.item()["jti"] == answer.jti


ROWS: dict[str, Any] = {
    "no-rows": [],
    "not-objects": [None, 42, "jessica.smith@aurorasolar.com", [[]]],
    "ids-of-another-type": [{"id": 42, "email": "jessica.smith@aurorasolar.com"}],
    "path-in-an-id": [{"id": "../../other/users/1", "email": "jessica.smith@aurorasolar.com"}],
    "query-in-an-id": [{"id": "1?as=2", "email": "jessica.smith@aurorasolar.com"}],
    "long-id": [{"id": "1" * 5000, "email": "jessica.smith@aurorasolar.com"}],
    "long-status": [JESSICA_ROW | {"account_status": "x" * 1_000_000}],
    "bad-addresses": [{"id": JESSICA_ID, "email": "\ud800@\x00"}, {"id": ROBERT_ID, "email": None}],
}


@pytest.mark.parametrize("name", ROWS)
def test_rows_that_are_no_accounts(deployment: Deployment, name: str) -> None:
    """None becomes an account, a path or an item that cannot be written, and nobody is invited."""
    listed = json.dumps({"users": ROWS[name]}).encode()
    paths: list[bytes] = []

    def talk(connection: Any) -> None:
        while request := request_of(connection):
            paths.append(request.split(b" ")[1])
            body = listed if request.startswith(b"GET") else b'{"user": {"id": "../../x"}}'
            connection.sendall(b"%sContent-Length: %d\r\n\r\n%s" % (OK, len(body), body))

    with raw_server(talk) as port:
        deployment.restart(AURORA_URL=f"http://127.0.0.1:{port}")
        answer = deployment.vend()
    expected = {
        # Aurora accepted the invitation, and names no usable account.
        "no-rows": (409, "invitation-pending"),
        "long-status": (403, "user-not-eligible"),
    }
    assert (answer.status, answer.slug) == expected.get(name, (502, "aurora-invalid-response"))
    base = f"/tenants/{deployment.aurora.tenant_id}/users".encode()
    invited = {base + b"/invite"} if name == "no-rows" else set()
    assert set(paths) <= {base, base + b"?page=2"} | invited


# TLS ---------------------------------------------------------------------------------------


AUTHORITY = trustme.CA()
GOOD_NAME = AUTHORITY.issue_cert("localhost")
CERTIFICATES = {
    "another host": AUTHORITY.issue_cert("elsewhere.example"),
    "expired": AUTHORITY.issue_cert("localhost", not_after=dt.datetime(2020, 1, 1, tzinfo=dt.UTC)),
    "unknown authority": trustme.CA().issue_cert("localhost"),
}


def tls(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


def vend_over_tls(
    deployment: Deployment, context: ssl.SSLContext, talk: Callable[[Any], None]
) -> tuple[Answer, int]:
    """Return the answer, and how many connections came as far as a request."""
    reached = []

    def listening(connection: Any) -> None:
        reached.append(connection)
        talk(connection)

    with raw_server(listening, context) as port:
        deployment.restart(AURORA_URL=f"https://localhost:{port}")
        return deployment.vend(), len(reached)


@pytest.fixture
def trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the test's authority one of those that this machine trusts."""
    file = tmp_path / "authority.pem"
    AUTHORITY.cert_pem.write_to_path(str(file))
    monkeypatch.setenv("SSL_CERT_FILE", str(file))


@pytest.mark.usefixtures("trusted")
def test_tls_with_the_right_certificate(deployment: Deployment) -> None:
    """The same server with nothing wrong, so that the refusals below are about certificates."""
    answer, reached = vend_over_tls(deployment, tls(GOOD_NAME), generating(generate_answer(GOOD)))
    assert (answer.status, reached > 0) == (200, True)


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize("name", CERTIFICATES)
def test_certificate_that_proves_nothing(deployment: Deployment, name: str) -> None:
    talk = generating(generate_answer(GOOD))
    answer, reached = vend_over_tls(deployment, tls(CERTIFICATES[name]), talk)
    assert (answer.status, answer.slug, reached) == (503, "aurora-unavailable", 0)


@pytest.mark.usefixtures("trusted")
def test_drip_within_tls(deployment: Deployment) -> None:
    deployment.settings["AURORA_READ_TIMEOUT"] = "0.3"
    talk = drip(first=OK, then=b"X-A: b\r\n")
    answer, _ = vend_over_tls(deployment, tls(GOOD_NAME), talk)
    assert answer.slug == "aurora-timeout"


# Retry-After -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7),
        ("6.5", 6.5),
        ("0", 1),
        ("-5", 1),
        ("1e9", 900),
        ("inf", 60),
        ("nan", 60),
        ("Sun, 15 Jun 2025 15:06:50 GMT", 10),
        ("Sun, 15 Jun 1925 15:06:50 GMT", 1),
        ("soon", 60),
        (None, 60),
    ],
)
def test_every_form_of_retry_after(value: str | None, seconds: float) -> None:
    assert retry_after(value, NOW) == seconds
