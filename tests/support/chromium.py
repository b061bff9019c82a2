"""A Chromium for browser tests."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, sync_playwright

from infra.web.chromium import chromium_arguments, chromium_path


@contextmanager
def chromium(*more: str) -> Iterator[Browser]:
    """
    Start the installed Chromium, with `more` arguments.

    Its absence fails the tests, because skipping would hide them.
    """
    path = chromium_path()
    if path is None:
        pytest.fail("no Chromium: python -m infra.web.chromium installs it or says how")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, args=[*chromium_arguments(), *more]
        )
        try:
            yield browser
        finally:
            browser.close()
