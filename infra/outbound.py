"""
The one way of these tools to addresses that are not AWS's: through the proxy, if there is one.

It obeys what botocore obeys, so that both ways work or fail together: HTTPS_PROXY, HTTP_PROXY and
NO_PROXY, and the certificates of AWS_CA_BUNDLE or SSL_CERT_FILE. Loopback is behind no proxy.
"""

import os
from functools import cache
from typing import Any
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3

CA_BUNDLES = ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")
NETWORK = "look at this machine's network and HTTPS_PROXY first"


def request(method: str, url: str, **arguments: Any) -> urllib3.BaseHTTPResponse:
    """Send a request once, without following redirects; no answer is urllib3's `HTTPError`."""
    manager = _manager(_proxy(url), next(filter(None, map(os.environ.get, CA_BUNDLES)), None))
    return manager.request(method, url, retries=False, redirect=False, **arguments)


def is_loopback(host: str) -> bool:
    return host in {"127.0.0.1", "::1", "localhost"} or host.endswith(".localhost")


def _proxy(url: str) -> str | None:
    address = urlsplit(url)
    if is_loopback(address.hostname or "") or proxy_bypass(address.netloc):
        return None
    proxies = getproxies()
    return proxies.get(address.scheme) or proxies.get("all")


@cache
def _manager(proxy: str | None, ca_bundle: str | None) -> urllib3.PoolManager:
    if proxy is None:
        return urllib3.PoolManager(ca_certs=ca_bundle)
    address = urlsplit(proxy if "//" in proxy else f"http://{proxy}")
    who = (
        f"{unquote(address.username)}:{unquote(address.password or '')}" if address.username else ""
    )
    headers = urllib3.make_headers(proxy_basic_auth=who) if who else None
    return urllib3.ProxyManager(address.geturl(), ca_certs=ca_bundle, proxy_headers=headers)
