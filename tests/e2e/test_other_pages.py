"""
What a page that the developer happens to visit can do to the stack on their machine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import urllib3

from tests.support.chromium import chromium
from tests.support.site import site

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Page

    from tests.e2e.conftest import Running

# What MiniStack takes unsigned: a header that needs CORS, and forms that need nothing.
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
    """
    Open a page on an origin that the stack does not know.
    """
    with site({"/": "<title>Elsewhere</title>"}) as address, chromium() as browser:
        page = browser.new_page()
        page.goto(address)
        yield page


def fetch(page: Page, method: str, url: str, **more: Any) -> dict[str, Any]:
    answer: dict[str, Any] = page.evaluate(SCRIPT, {"method": method, "url": url, **more})
    return answer


def test_a_page_cannot_read_the_api_key(page: Page, deployed: Running) -> None:
    outputs = deployed.stack.outputs
    answer = fetch(
        page,
        "POST",
        outputs.aws_endpoint_url,
        headers={
            "X-Amz-Target": "secretsmanager.GetSecretValue",
            "Content-Type": "application/x-amz-json-1.1",
        },
        body=f'{{"SecretId": "{outputs.secret_arn}"}}',
    )
    assert answer["status"] == 0
    assert deployed.aurora.api_key not in answer["text"]


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


def test_a_name_that_points_here_is_refused(deployed: Running) -> None:
    # DNS rebinding: the attacker's name leads to loopback, and the browser sees a single origin.
    for url in (deployed.stack.outputs.aws_endpoint_url, f"{deployed.aurora.url}/_control/users"):
        answer = urllib3.request("GET", url, headers={"Host": "attacker.example"}, retries=False)
        assert answer.status == 403


def test_the_deployed_api_answers_other_pages_as_its_own_list_says(
    page: Page, deployed: Running
) -> None:
    answer = fetch(page, "POST", deployed.stack.outputs.token_url)
    assert answer["status"] == 0  # Its list of origins has the demo page and the example.
