"""What a page that the developer happens to visit can do to the stack on their machine."""

import http.client
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
import urllib3
from playwright.sync_api import Page

from tests.e2e.conftest import Running
from tests.support.chromium import chromium
from tests.support.loopback import answering

SCRIPT = """async ({method, url, headers, body, mode}) => {
    try {
        const answer = await fetch(url, {method, headers, body, mode});
        return {status: answer.status, text: await answer.text()};
    } catch (error) {
        return {status: 0, text: String(error)};
    }
}"""


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    """Open a page on an origin that the stack does not know."""
    answer = (200, b"<title>Elsewhere</title>", {"Content-Type": "text/html"})
    with answering(lambda _: answer) as server, chromium() as browser:
        page = browser.new_page()
        page.goto(server.url)
        yield page


def fetch(page: Page, method: str, url: str, **more: Any) -> dict[str, Any]:
    answer: dict[str, Any] = page.evaluate(SCRIPT, {"method": method, "url": url, **more})
    return answer


# What tells a page from a program. The demo page's own origin opens no more than others.
PAGES = {
    "another origin": {"Origin": "https://attacker.example"},
    "sandboxed or a file": {"Origin": "null"},
    "the demo page": {"Origin": "{demo}"},
    "an image": {"Sec-Fetch-Site": "cross-site"},
    "a link": {"Referer": "https://attacker.example/"},
    "an old browser": {"User-Agent": "Mozilla/5.0 (Macintosh) AppleWebKit/605.1.15"},
}
# MiniStack's parser finds an API in some of these and none in others: there it answers as AWS.
TARGETS = [
    "/",
    "",
    "/_aws/execute-api",
    "/_aws/execute-api/",
    "/_aws/execute-api/x",
    "/_aws/execute-api//",
    "/_aws/execute-api//x",
    "/_aws/execute-api//token",
    "/_aws/execute-api/{api}",
    "/_aws/execute-api/{api}/",
    "/_aws/execute-api/{api}//token",
    "/_aws/execute-api/{api}/token/",
    "/_aws/execute-api/{api}/token/..",
    "/_aws/execute-api/{api}/../x",
    "/_aws/execute-api/{api}/token/../../../../",
    "/_aws/execute-api/../execute-api/x",
    "/_aws/execute-api/{api}%2ftoken",
    "/_aws/execute-api/%2e%2e/token",
    "/_aws/execute-api%2f{api}/token",
    "/_aws/execute-api/{api}/%74oken",
    "/_aws/execute-api/{api}/token%00",
    "/_aws/execute-api/{api}/token%0a",
    "/_aws/execute-api/{api}/token?Action=GetSecretValue",
    "/_aws/execute-api/{api}/token;x",
    "/_aws/execute-api/{api}\\token",
    "//_aws/execute-api/{api}/token",
    "/x/_aws/execute-api/{api}/token",
    "/_AWS/execute-api/{api}/token",
    "http://{host}/_aws/execute-api/x",
    "/_aws/lambda-url/{api}/token",
    "/restapis/{api}/x/_user_request_/token",
    "/restapis/{api}/x",
    "/_local/tapped",
    "/_ministack/health",
]
HOSTS = [
    "attacker.example:{port}",  # DNS rebinding.
    "127.0.0.1.attacker.example:{port}",
    "localhost.attacker.example",
    "attacker.example:80@localhost",
    "s3.localhost:{port}",
    "assets.s3.localhost:{port}",
    "secretsmanager.us-east-1.localhost:{port}",
    "{api}.execute-api.localhost:{port}",
    "0123456789abcdef0123456789abcdef.lambda-url.us-east-1.localhost:{port}",
    "{api}.elb.localhost",
    "",
]


def read_secret(
    running: Running, target: str, headers: dict[str, str], *, method: str = "POST"
) -> tuple[int, str, str]:
    """Ask at exactly this address for the API key; return status, text and who may read it."""
    aws = urlsplit(running.stack.outputs.aws_endpoint_url)
    names = {
        "api": running.stack.outputs.api_url.rpartition("/")[2],
        "host": aws.netloc,
        "port": str(aws.port),
        "demo": running.stack.outputs.demo_url,
    }
    headers = {
        "Host": aws.netloc,
        "X-Amz-Target": "secretsmanager.GetSecretValue",
        "Content-Type": "application/x-amz-json-1.1",
        **{name: value.format(**names) for name, value in headers.items()},
    }
    body = json.dumps({"SecretId": running.stack.outputs.secret_arn})
    # urllib3 would mend the address.
    connection = http.client.HTTPConnection(str(aws.hostname), aws.port or 80, timeout=120)
    connection.putrequest(method, target.format(**names), skip_host=True)
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body.encode())
    answer = connection.getresponse()
    allowed = answer.headers.get("Access-Control-Allow-Origin", "")
    text = answer.read().decode()
    connection.close()
    return answer.status, text, allowed


@pytest.mark.parametrize("target", TARGETS)
def test_no_address_of_aws_answers_a_page(deployed: Running, target: str) -> None:
    """What is not the deployed API's route in full is refused before MiniStack sees it."""
    for headers in PAGES.values():
        for method in ("GET", "POST", "PUT", "OPTIONS"):
            status, text, allowed = read_secret(deployed, target, headers, method=method)
            # 400: no HTTP that the server reads.
            assert (status in {400, 403}, allowed) == (True, ""), (headers, method, text)
            assert deployed.aurora.api_key not in text


def test_no_other_name_of_this_machine_answers_a_page(deployed: Running) -> None:
    for host in HOSTS:
        for page in PAGES.values():
            for target in ("/", "/_aws/execute-api/x", "/_aws/execute-api/{api}/token"):
                status, text, allowed = read_secret(deployed, target, page | {"Host": host})
                assert (status in {400, 403}, allowed) == (True, ""), (host, page, target, text)


def test_the_route_itself_gives_a_page_nothing_of_aws(deployed: Running) -> None:
    """Headers of AWS's protocol change nothing where the API answers."""
    for page in PAGES.values():
        for target in ("/_aws/execute-api/{api}/token", "/_aws/execute-api/00000000/token"):
            status, text, _ = read_secret(deployed, target, page)
            assert status in {401, 404}
            assert deployed.aurora.api_key not in text


def test_a_program_reads_the_secret(deployed: Running) -> None:
    """The attack of these tests works where no page makes it."""
    status, text, _ = read_secret(deployed, "/", {})
    assert (status, deployed.aurora.api_key in text) == (200, True)


def test_a_page_cannot_act_without_reading(page: Page, deployed: Running) -> None:
    # `no-cors` sends what a form or an image could: no permission is asked for.
    aws = deployed.stack.outputs.aws_endpoint_url
    user = "?Action=CreateUser&UserName=Mallory&Version=2010-05-08"
    fetch(page, "GET", f"{aws}/{user}", mode="no-cors")
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    fetch(page, "POST", aws, mode="no-cors", headers=form, body=user[1:])
    fetch(page, "POST", f"{aws}/2015-03-31/functions", mode="no-cors", body="{}")
    fetch(page, "POST", f"{aws}/_ministack/reset", mode="no-cors")
    iam, functions = deployed.stack.aws.client("iam"), deployed.stack.aws.client("lambda")
    assert "Mallory" not in {each["UserName"] for each in iam.list_users()["Users"]}
    assert functions.get_function(FunctionName=deployed.stack.outputs.function_name)


def test_a_page_cannot_direct_the_fake_aurora(page: Page, deployed: Running) -> None:
    users = deployed.aurora.users()
    control = f"{deployed.aurora.url}/_control"
    fetch(
        page, "POST", f"{control}/users", mode="no-cors", body='{"users": [{"email": "m@x.org"}]}'
    )
    assert deployed.aurora.users() == users
    assert fetch(page, "GET", f"{control}/users")["status"] == 0


@pytest.mark.parametrize("origin", ["https://attacker.example", "null"])
def test_a_page_cannot_sign_in_as_somebody(deployed: Running, origin: str) -> None:
    issuer = deployed.stack.outputs.issuer
    for method, path in (
        ("PUT", "/users/jessica"),
        ("OPTIONS", "/users/jessica"),
        ("POST", "/oauth2/authorize"),
        ("POST", "/oauth2/token"),
        ("GET", "/.well-known/openid-configuration"),
    ):
        headers = {"Origin": origin, "Content-Type": "application/json"}
        answer = urllib3.request(method, issuer + path, headers=headers, body="{}", retries=False)
        assert (answer.status, "Access-Control-Allow-Origin" in answer.headers) == (403, False)


def test_the_demo_server_tells_other_pages_nothing(page: Page, deployed: Running) -> None:
    for path in ("/", "/config.json"):
        assert fetch(page, "GET", deployed.stack.outputs.demo_url + path)["status"] == 0


def test_a_name_that_points_here_is_refused(deployed: Running) -> None:
    # DNS rebinding: the attacker's name leads to loopback, and the browser sees a single origin.
    outputs = deployed.stack.outputs
    for url in (
        outputs.aws_endpoint_url,
        f"{deployed.aurora.url}/_control/users",
        f"{outputs.issuer}/.well-known/openid-configuration",
        outputs.demo_url,
    ):
        answer = urllib3.request("GET", url, headers={"Host": "attacker.example"}, retries=False)
        assert answer.status == 403
