"""Every link of README and docs leads somewhere, and every target of make that they name exists."""

import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from infra.build.docs_site import on_page_markdown

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
LINK = re.compile(r"\]\((?!https?:|mailto:)([^)#\s]*)(?:#([^)\s]+))?\)")
TARGET = re.compile(r"`make ([a-z][a-z-]*)")


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings as GitHub makes them, and those it sets itself."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    slugs = {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}
    return slugs | set(re.findall(r'<a (?:id|name)="([^"]+)"', text))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target, anchor in LINK.findall(page.read_text()):
        linked = (page.parent / target).resolve() if target else page
        assert linked.exists(), f"{page.name}: {target}"
        if anchor:
            assert anchor in anchors(linked), f"{page.name}: {target}#{anchor}"


def test_the_site_begins_with_the_readme() -> None:
    """Its links lead to pages beside it, and code in a step is the step's for MkDocs, too."""
    page = SimpleNamespace(file=SimpleNamespace(src_uri="index.md"))
    shown = on_page_markdown("", page=page)
    assert "](frontend.md)" in shown
    linked = [target for target, _ in LINK.findall(shown) if target]
    assert [target for target in linked if not (ROOT / "docs" / target).exists()] == []
    assert "\n    ```json\n" in shown


def test_targets_of_make_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    known = {
        name
        for names in re.findall(r"^([a-z][a-z -]*):", makefile, flags=re.MULTILINE)
        for name in names.split()
    }
    named = {name for page in PAGES for name in TARGET.findall(page.read_text())}
    assert named - known == set()


def test_tests_that_are_named_exist() -> None:
    known = {path.name for path in (ROOT / "tests").glob("*/test_*.py")}
    named = {name for page in PAGES for name in re.findall(r"\btest_\w+\.py", page.read_text())}
    assert named - known == set()
