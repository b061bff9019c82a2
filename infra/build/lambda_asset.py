"""
Build the folder that the Lambda runs: functions/token_vendor and its locked dependencies.

No Docker: what ships is pure Python, and uv refuses to take anything that has no wheel for the
Lambda's platform.  The same sources give the same bytes wherever the folder is built, so that
`cdk deploy` publishes a new version only when something changed.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

import botocore

from infra.build import BundlingError, botocore_data

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ROOT / "functions"
CACHE = ROOT / ".cache" / "lambda"
PYTHON = (3, 13)
PLATFORM = "aarch64-manylinux2014"

# Metadata and licences stay in a dist-info, because vulnerability scanners (Amazon Inspector) and
# people read them; these others differ from machine to machine or serve pip alone.
INSTALLER_FILES = {"RECORD", "INSTALLER", "REQUESTED", "WHEEL", "direct_url.json", "uv_cache.json"}
# One time for all: every zip of the folder has the same bytes. Zip starts in 1980.
LONG_AGO = 315_619_200
ASSET_IN_WHEEL = "asset"


def build_asset(cache: Path = CACHE) -> Path:
    """
    Return the folder with the Lambda's code: the wheel's own, or built unless the cache has it.

    The folder is never changed once it is there; other sources make another folder.  The network
    is needed only where the lock's dependencies are neither in `cache` nor in uv's own cache.
    `BundlingError` says why it cannot be built.
    """
    if (built := Path(__file__).with_name(ASSET_IN_WHEEL)).exists():
        return built
    if sys.version_info[:2] != PYTHON:
        running = ".".join(map(str, sys.version_info[:2]))
        raise BundlingError(f"Python {running} cannot compile for the Lambda's 3.13; use .venv")
    requirements = locked_requirements()
    programs = (__file__, botocore_data.__file__)
    recipe = b"".join([*(Path(each).read_bytes() for each in programs), requirements.encode()])
    dependencies = cache / f"dependencies-{_digest([recipe])}"
    if not dependencies.exists():
        _put(dependencies, lambda folder: _install(requirements, folder))
    sources = [SOURCES / name for name in _sources()]
    asset = cache / f"asset-{_digest([recipe, *map(_named_content, sources)])}"
    if not asset.exists():
        # The lock gives this Python the same botocore, and with all its data.
        known = botocore_data.operations(Path(botocore.__file__).parent / "data")
        botocore_data.check_calls((each for each in sources if each.suffix == ".py"), known)
        _put(asset, lambda folder: _assemble(dependencies, sources, folder))
    return asset


def locked_requirements() -> str:
    """Return what pyproject.toml ships in the Lambda, as the lock pins it, with hashes."""
    return _uv(
        *("export", "--frozen", "--no-dev", "--no-emit-project", "--no-header", "--no-annotate"),
        *("--format", "requirements-txt"),
    )


def _install(requirements: str, folder: Path) -> None:
    """Install the locked wheels, drop what the function never opens, compile the rest."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write(requirements)
        file.flush()
        _uv(
            *("pip", "install", "--requirements", file.name, "--require-hashes", "--no-deps"),
            *("--only-binary", ":all:", "--python-platform", PLATFORM, "--python-version", "3.13"),
            # A hard link into uv's cache would let the steps below change that cache.
            *("--target", str(folder), "--link-mode", "copy", "--python", sys.executable),
        )
    botocore_data.trim(folder / "botocore" / "data")
    _drop(each for each in folder.glob("*.dist-info/*") if each.name in INSTALLER_FILES)
    # Console scripts are for people.
    _drop([folder / "bin", folder / ".lock"])
    _compile(folder)


def _assemble(dependencies: Path, sources: Iterable[Path], folder: Path) -> None:
    shutil.copytree(dependencies, folder, dirs_exist_ok=True)
    for source in sources:
        target = folder / source.relative_to(SOURCES)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    _compile(folder / "token_vendor", below="token_vendor")
    for path in [folder, *folder.rglob("*")]:
        # The umask of the building machine is not a property of the code.
        path.chmod(0o755 if path.is_dir() else 0o644)
        os.utime(path, (LONG_AGO, LONG_AGO))


def _compile(folder: Path, below: str = "") -> None:
    """
    Compile to bytecode that Python believes without looking at the source's time.

    Lambda's file system is read-only: what is not compiled here is compiled at every cold start.
    Times do not survive zipping, hence `unchecked-hash`.  The path inside the bytecode is the one
    in the Lambda: neither a traceback nor the asset tells where it was built.
    """
    subprocess.run(
        [
            *(sys.executable, "-m", "compileall", "-q", "-j", "1"),
            *("--invalidation-mode", "unchecked-hash"),
            *("-s", str(folder), "-p", str(Path("/var/task") / below), str(folder)),
        ],
        check=True,
        # The order of sets in the bytecode follows the hash seed.
        env={"PYTHONHASHSEED": "0"},
    )


def _sources() -> list[str]:
    return sorted(
        str(path.relative_to(SOURCES))
        for path in (SOURCES / "token_vendor").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    )


def _named_content(path: Path) -> bytes:
    return str(path.relative_to(SOURCES)).encode() + b"\0" + path.read_bytes()


def _digest(parts: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(hashlib.sha256(part).digest())
    return digest.hexdigest()[:16]


def _drop(paths: Iterable[Path]) -> None:
    for path in list(paths):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _put(target: Path, fill: Callable[[Path], None]) -> None:
    """Fill a folder beside the target and rename it: no one ever sees half of it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        folder = Path(scratch) / "filling"
        folder.mkdir()
        fill(folder)
        try:
            folder.rename(target)
        except OSError:
            # Someone else built the same bytes at the same time.
            if not target.exists():
                raise


def _uv(*arguments: str) -> str:
    own = ROOT / ".uv" / "bin" / "uv"
    uv = str(own) if own.exists() else shutil.which("uv")
    if uv is None:
        raise BundlingError("uv is neither in .uv/bin nor on PATH; `make setup` brings it")
    done = subprocess.run(
        [uv, "--quiet", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        cause = done.stderr.strip().splitlines() or ["no reason given"]
        raise BundlingError(f"uv {arguments[0]} failed: {cause[-1].strip()}")
    return done.stdout


if __name__ == "__main__":
    print(build_asset())
