"""The folder that the Lambda runs: the same bytes everywhere, and enough to run."""

import hashlib
import json
import marshal
import os
import shutil
import sys
import tarfile
from importlib.metadata import PathDistribution
from pathlib import Path

import pytest

from infra.build import BundlingError, lambda_asset
from infra.build.botocore_data import CALLED
from infra.build.lambda_asset import SOURCES, build_asset
from tests.support.program import printed
from tests.support.settings import ENVIRONMENT

# Lambda's limit is for code, dependencies and layers together, unzipped.
LAMBDA_LIMIT = 250 * 2**20
# A pyc is: magic number, flags, the source's hash, the code.
FLAGS, CODE = slice(4, 8), slice(16, None)
UNCHECKED_HASH = b"\x01\x00\x00\x00"
PERMISSIVE = ("Apache", "MIT", "BSD", "PSF-2.0")


@pytest.fixture(scope="session")
def asset() -> Path:
    return build_asset()


def fingerprint(folder: Path) -> dict[str, tuple[str, int, float]]:
    """Return content, mode and time of every file."""
    return {
        str(path.relative_to(folder)): (
            hashlib.sha256(path.read_bytes()).hexdigest(),
            path.stat().st_mode,
            path.stat().st_mtime,
        )
        for path in folder.rglob("*")
        if path.is_file()
    }


def run(asset: Path, code: str, **environment: str) -> str:
    """Run code as Lambda would: only the standard library and the asset to import from."""
    program = f"import sys; sys.path.insert(0, {str(asset)!r})\n{code}"
    return printed(sys.executable, "-I", "-S", "-c", program, environment=environment)


@pytest.mark.nightly
def test_two_builds_are_the_same_bytes(
    asset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Folder, umask, hash seed and PYTHONDONTWRITEBYTECODE of the builder leave no trace."""
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setenv("PYTHONHASHSEED", "7")
    umask = os.umask(0o077)
    try:
        again = build_asset(tmp_path / "a" / "folder with a longer name")
    finally:
        os.umask(umask)
    assert again.name == asset.name
    assert fingerprint(again) == fingerprint(asset)


def test_changed_source_makes_another_asset(
    asset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The dependencies are taken from the cache: without them, uv could not get any here."""
    sources = tmp_path / "functions"
    shutil.copytree(SOURCES, sources, ignore=shutil.ignore_patterns("__pycache__"))
    with (sources / "token_vendor" / "models.py").open("a") as models:
        models.write("# changed\n")
    monkeypatch.setattr(lambda_asset, "SOURCES", sources)
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "empty"))
    changed = build_asset()
    try:
        assert changed != asset
        assert (changed / "token_vendor" / "models.py").read_text().endswith("# changed\n")
    finally:
        shutil.rmtree(changed)


def test_every_source_is_compiled_and_believed(asset: Path) -> None:
    """Lambda's folder is read-only: what is not compiled here is compiled at every cold start."""
    sources = list(asset.rglob("*.py"))
    assert asset / "token_vendor" / "handler.py" in sources
    for source in sources:
        pyc = source.parent / "__pycache__" / f"{source.stem}.cpython-313.pyc"
        assert pyc.read_bytes()[FLAGS] == UNCHECKED_HASH


def test_bytecode_names_the_folder_in_the_lambda(asset: Path) -> None:
    for pyc in asset.rglob("*.pyc"):
        code = marshal.loads(pyc.read_bytes()[CODE])  # noqa: S302 - our own bytes.
        module = pyc.parent.parent.relative_to(asset) / f"{pyc.name.split('.')[0]}.py"
        assert code.co_filename == f"/var/task/{module}"


def test_asset_runs_with_what_it_carries(asset: Path) -> None:
    """The handler loads from bytecode alone, and makes clients of just the shipped services."""
    loaded = run(
        asset,
        "import botocore.loaders, botocore.session, json, token_vendor.handler as handler\n"
        "session = botocore.session.get_session()\n"
        f"for service in {sorted(CALLED)}: session.create_client(service)\n"
        "services = botocore.loaders.create_loader().list_available_services('service-2')\n"
        "print(json.dumps([handler.__cached__, services]))",
        **ENVIRONMENT,
        AWS_DEFAULT_REGION="us-east-1",
        AWS_ACCESS_KEY_ID="test",
        AWS_SECRET_ACCESS_KEY="test",
    )
    cached, services = json.loads(loaded)
    assert cached.startswith(str(asset))
    assert set(services) == CALLED.keys()


def test_asset_brings_time_zones(asset: Path) -> None:
    """`prewarm` tells the time by them, whatever the image of the runtime has."""
    code = "import zoneinfo; zoneinfo.reset_tzpath(()); print(zoneinfo.ZoneInfo('Europe/Berlin'))"
    assert run(asset, code).strip() == "Europe/Berlin"


def test_only_what_runs_is_shipped(asset: Path) -> None:
    """No tests, no native code, no scripts; and far from Lambda's limit."""
    names = {path.name for path in asset.rglob("*")}
    assert not names & {"tests", "test", "bin", "infra", "pip", "RECORD", "INSTALLER"}
    assert not [path for path in asset.rglob("*") if path.suffix in {".so", ".pyd", ".exe", ".pth"}]
    assert (
        sum(path.stat().st_size for path in asset.rglob("*") if path.is_file()) < LAMBDA_LIMIT / 5
    )


def test_licences_of_what_ships_are_permissive(asset: Path) -> None:
    """Every distribution names its licence, and none asks for more than to be named."""
    distributions = [PathDistribution(path) for path in asset.glob("*.dist-info")]
    assert len(distributions) > 5
    for distribution in distributions:
        metadata = distribution.metadata
        named = [metadata.get("License-Expression"), metadata.get("License")]
        words = " ".join([*filter(None, named), *metadata.get_all("Classifier", [])])
        assert any(licence in words for licence in PERMISSIVE), metadata["Name"]
        assert "GPL" not in words


# What a build of this sdist runs: whatever its author wants.
SETUP = """
def build_wheel(*_, **__):
    open({marker!r}, "w").close()

prepare_metadata_for_build_wheel = build_wheel
"""
PYPROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
"""


def test_nothing_that_ships_runs_while_it_is_installed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Only wheels are taken, which are unpacked; a source distribution is not built."""
    marker, links = tmp_path / "was-run", tmp_path / "links"
    source = tmp_path / "only_source-1.0"
    source.mkdir()
    links.mkdir()
    (source / "pyproject.toml").write_text(PYPROJECT)
    (source / "backend.py").write_text(SETUP.format(marker=str(marker)))
    (source / "PKG-INFO").write_text("Metadata-Version: 2.1\nName: only-source\nVersion: 1.0\n")
    archive = links / "only_source-1.0.tar.gz"
    with tarfile.open(archive, "w:gz") as sdist:
        sdist.add(source, source.name)
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    monkeypatch.setattr(
        lambda_asset, "locked_requirements", lambda: f"only-source==1.0 --hash=sha256:{digest}\n"
    )
    monkeypatch.setenv("UV_FIND_LINKS", str(links))
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    with pytest.raises(BundlingError):
        build_asset(tmp_path / "cache")
    assert not marker.exists()


def test_other_python_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytecode of another Python would be compiled again at every cold start."""
    monkeypatch.setattr(sys, "version_info", (3, 12, 1))
    with pytest.raises(BundlingError, match=r"^Python 3\.12 cannot compile"):
        build_asset()


def test_failed_install_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without network or uv's cache, uv's reason is told and no half-filled folder stays."""
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "empty"))
    with pytest.raises(BundlingError) as failure:
        build_asset(tmp_path / "cache")
    assert len(str(failure.value).splitlines()) == 1
    assert list((tmp_path / "cache").iterdir()) == []
