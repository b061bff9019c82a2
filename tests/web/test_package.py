"""The helper as an npm package: what is in it, how large it is, where it runs, and its types."""

import gzip
import json
import re
import shutil
import tarfile
from pathlib import Path

import pytest
from token_vendor.problems import CATALOGUE

from tests.support.npm import MODULES, WEB, esbuild, pack, run

PAGES = Path(__file__).parent / "pages"
ROOT = Path(__file__).parents[2]
# What the README promises.
OLDEST = "chrome91,edge91,firefox79,safari14.1"

# Slugs that only a browser knows.
OWN_SLUGS = {
    "signed-out",
    "sign-in-silent",
    "unreachable",
    "caller-token-too-large",
    "unexpected-answer",
    "caller-changed",
    "closed",
}


def zipped(text: str | bytes) -> int:
    return len(gzip.compress(text.encode() if isinstance(text, str) else text, 9))


@pytest.fixture(scope="module")
def tarball(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pack(tmp_path_factory.mktemp("pack"))


def test_tarball_holds_what_a_page_needs_and_nothing_else(tarball: Path) -> None:
    with tarfile.open(tarball) as package:
        assert sorted(package.getnames()) == [
            "package/LICENSE",
            "package/README.md",
            "package/aurora-token.d.ts",
            "package/aurora-token.js",
            "package/hooks.d.ts",
            "package/hooks.js",
            "package/package.json",
            "package/react.d.ts",
            "package/react.js",
            "package/sdk.d.ts",
            "package/sdk.js",
            "package/sources.d.ts",
            "package/sources.js",
            "package/vue.d.ts",
            "package/vue.js",
        ]


def test_package_depends_on_nothing_and_bears_this_projects_licence() -> None:
    package = json.loads((WEB / "package.json").read_text())
    assert "dependencies" not in package
    assert package["peerDependenciesMeta"].keys() == package["peerDependencies"].keys()
    assert all(each["optional"] for each in package["peerDependenciesMeta"].values())
    assert (WEB / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()


def test_helper_stays_small(capsys: pytest.CaptureFixture[str]) -> None:
    sizes = {
        name: zipped(esbuild("--format=esm", "--minify", WEB / name))
        for name in ("aurora-token.js", "sdk.js")
    }
    with capsys.disabled():
        print(f"\nminified, bytes after gzip: {sizes}")  # noqa: T201, for people to see
    assert sizes["aurora-token.js"] <= 4096
    assert sizes["sdk.js"] <= 1500


@pytest.mark.parametrize("file", ["aurora-token.js", "sdk.js", "sources.js"])
def test_copied_file_imports_nothing(file: str) -> None:
    code = esbuild("--format=esm", WEB / file)
    assert not re.search(r"^import |^export .* from ", code, re.MULTILINE)


def test_problems_are_in_the_docs_as_people_read_them() -> None:
    code = (WEB / "aurora-token.js").read_text()
    own = re.findall(r'^  "?([a-z-]+)"?: \["(.*)", "(.*)"\],$', code, re.MULTILINE)
    assert {slug for slug, *_ in own} == OWN_SLUGS
    frontend = (ROOT / "docs" / "frontend.md").read_text()
    api = (ROOT / "docs" / "api.md").read_text()
    for slug, title, message in own:
        assert f"| `{slug}` | {title} | {message} |" in frontend
    for slug, each in CATALOGUE.items():
        assert f"| `{slug}` | {each.status} | {each.title} |" in api


def test_publint_and_attw_find_nothing(tarball: Path) -> None:
    """Only that CommonJS cannot `require` it, as Node before 22 cannot."""
    programs = Path(__file__).parent / "bundlers" / "node_modules" / ".bin"
    if not (programs / "attw").exists():
        pytest.skip("publint and attw are not installed: make web does it")
    run(programs / "publint", "--strict", tarball, cwd=WEB)
    run(programs / "attw", tarball, "--ignore-rules", "cjs-resolves-to-esm", cwd=WEB)


@pytest.mark.parametrize(
    "file", ["aurora-token.js", "sdk.js", "sources.js", "hooks.js", "react.js", "vue.js"]
)
def test_oldest_browsers_need_no_rewriting(file: str) -> None:
    """What esbuild would lower for them, they would not understand."""
    as_is = esbuild("--format=esm", WEB / file)
    assert esbuild("--format=esm", f"--target={OLDEST}", WEB / file) == as_is
    assert "Chrome and Edge 91, Firefox 79, Safari 14.1 or newer" in (WEB / "README.md").read_text()


def test_slugs_are_those_of_the_catalogue_and_of_a_browser() -> None:
    types = (WEB / "aurora-token.d.ts").read_text()
    union = types[types.index("export type Slug") : types.index("export interface")]
    assert set(re.findall(r'\| "([a-z-]+)"', union)) == set(CATALOGUE) | OWN_SLUGS


def test_unused_helper_leaves_nothing_in_a_bundle(tmp_path: Path) -> None:
    (tmp_path / "node_modules").mkdir()
    (tmp_path / "node_modules" / "aurora-token-vendor").symlink_to(WEB)
    entry = 'import "aurora-token-vendor"; import { TokenError } from "aurora-token-vendor"; run();'
    arguments = ("--bundle", "--format=esm", "--log-level=error")
    bundle = esbuild(*arguments, cwd=tmp_path, text=entry)
    assert "createTokenSource" not in bundle


def test_source_works_in_node_and_keeps_no_process_alive(tmp_path: Path) -> None:
    """A server that renders and a test that forgets `close` both end."""
    (tmp_path / "node_modules").mkdir()
    (tmp_path / "node_modules" / "aurora-token-vendor").symlink_to(WEB)
    shutil.copyfile(PAGES / "anywhere.js", tmp_path / "page.mjs")
    assert run("node", "page.mjs", cwd=tmp_path).split() == ["first", "true"]


@pytest.mark.parametrize(
    "resolution", ["bundler", pytest.param("node16", marks=pytest.mark.nightly)]
)
def test_types_are_found_by_name_and_refuse_what_is_wrong(tmp_path: Path, resolution: str) -> None:
    modules = tmp_path / "node_modules"
    (modules / "@types").mkdir(parents=True)
    (modules / "aurora-token-vendor").symlink_to(WEB)
    for name in ("react", "vue", "@vue", "@types/react", "csstype"):
        (modules / name).symlink_to(MODULES / name)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    shutil.copyfile(PAGES / "typed.ts", tmp_path / "page.ts")
    options = {
        "strict": True,
        "noEmit": True,
        "target": "ES2022",
        "module": "ESNext" if resolution == "bundler" else "Node16",
        "moduleResolution": resolution,
        "lib": ["ES2022", "DOM"],
        "types": [],
        "preserveSymlinks": True,
        "skipLibCheck": True,
    }
    project = {"compilerOptions": options, "files": ["page.ts"]}
    (tmp_path / "tsconfig.json").write_text(json.dumps(project))
    run(MODULES / ".bin" / "tsc", "--project", tmp_path, cwd=tmp_path)
