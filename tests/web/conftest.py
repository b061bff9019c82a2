"""
A Chromium, a small site, and a page in it whose clock tests turn.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from tests.support.chromium import Site, chromium, site
from tests.support.tab import NOW, Tab

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
    # Whatever hangs is found out well before pytest's own limit.
    context.set_default_timeout(10_000)
    yield context
    context.close()


@pytest.fixture
def tab(context: BrowserContext, loopback: Site) -> Tab:
    context.clock.install(time=NOW - timedelta(hours=1))
    # From here on, time passes only where a test says so.
    context.clock.pause_at(NOW)
    return Tab(context.new_page(), loopback.url)
