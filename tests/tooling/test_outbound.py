"""The tools' way to Aurora and identity providers: a company's proxy and certificates."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trustme
import urllib3

from infra import outbound
from infra.stage.issuer import IssuerError, signing_keys
from tests.support.loopback import Reply, Request, Server, answering

FOREIGN = "http://aurora.example.com/users"


type Asked = list[tuple[str, str | None]]


@contextmanager
def forbidding(asked: Asked) -> Iterator[Server]:
    """Answer every request by itself, as a proxy that forbids all may, and keep what was asked."""

    def answer(request: Request) -> Reply:
        asked.append((request.path, request.headers["Proxy-Authorization"]))
        return 204, b"", {}

    with answering(answer) as server:
        yield server


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Asked]:
    for name in ("HTTP_PROXY", "NO_PROXY", "no_proxy", "https_proxy", *outbound.CA_BUNDLES):
        monkeypatch.delenv(name, raising=False)
    asked: Asked = []
    with forbidding(asked) as server:
        monkeypatch.setenv("http_proxy", f"http://me:p%40ss@127.0.0.1:{server.server_port}")
        monkeypatch.setenv("https_proxy", server.url)
        yield asked


def test_foreign_address_is_behind_the_proxy(proxy: Asked) -> None:
    """With the name and password that its address has."""
    assert outbound.request("GET", FOREIGN).status == 204
    assert proxy == [(FOREIGN, "Basic bWU6cEBzcw==")]


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://localhost:1", "http://a.localhost"])
def test_loopback_is_not(proxy: Asked, url: str) -> None:
    assert outbound._proxy(url) is None
    assert proxy == []


@pytest.mark.usefixtures("proxy")
def test_exceptions_are_obeyed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", ".example.com")
    assert outbound._proxy(FOREIGN) is None
    assert outbound._proxy("https://aurora.example.org") is not None


@pytest.mark.parametrize("variable", outbound.CA_BUNDLES)
def test_companys_certificates_are_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    for name in outbound.CA_BUNDLES:
        monkeypatch.delenv(name, raising=False)
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with forbidding([]) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        url = f"https://127.0.0.1:{server.server_port}/"
        with pytest.raises(urllib3.exceptions.SSLError):
            outbound.request("GET", url)
        monkeypatch.setenv(variable, str(tmp_path / "ca.pem"))
        assert outbound.request("GET", url).status == 204


def test_unanswered_issuer_is_the_networks_before_the_options(proxy: Asked) -> None:
    """An issuer that is right stays as it is: the proxy here lets nobody through."""
    with pytest.raises(IssuerError) as caught:
        signing_keys("https://id.example.com")
    assert proxy[0][0] == "id.example.com:443"
    assert caught.value.fix.startswith("look at this machine's network and HTTPS_PROXY first")
