"""A Chromium, and a small site for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.chromium import Site, chromium, site

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, BrowserContext


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def loopback() -> Iterator[Site]:
    with site() as server:
        yield server


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context()
    context.set_default_timeout(120_000)
    yield context
    context.close()
