"""
Cut botocore's data to what the functions call.

botocore reads its data as JSON at every cold start: the endpoints of 400 services, and the models
of whole services, with their documentation. What ships has every partition and region, and the
operations of `CALLED` alone. Where botocore keeps its data in another way than is known here, the
build fails, so that somebody looks.
"""

import ast
import gzip
import json
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from botocore import xform_name

from infra.build import BundlingError

CALLED = {
    "dynamodb": {"BatchGetItem", "BatchWriteItem", "GetItem", "Scan", "UpdateItem"},
    "secretsmanager": {"GetSecretValue"},
}
"""The operations that the functions call, by service."""
SHARED = {"_retry.json", "endpoints.json", "partitions.json", "sdk-default-configuration.json"}
MODEL = "service-2.json.gz"
SHIPPED = {MODEL, "endpoint-rule-set-1.json.gz", "service-2.sdk-extras.json"}
WITHOUT_FILES = {"can_paginate", "get_paginator", "get_waiter"}
"""Methods of every client that read files that do not ship."""
NEEDLESS = {
    "examples-1.json",
    "paginators-1.json",
    "paginators-1.sdk-extras.json",
    "waiters-2.json",
}


def operations(data: Path) -> set[str]:
    """Name each operation of the shipped services as Python calls it, from botocore's `data`."""
    models = (_read(_version(data / service) / MODEL) for service in CALLED)
    return {xform_name(name) for model in models for name in model["operations"]}


def check_calls(sources: Iterable[Path], known: set[str]) -> None:
    """
    Raise `BundlingError` where a source calls an operation that does not ship.

    A name that is an operation's is taken for a call of it, whatever it is called on.
    """
    shipped = {xform_name(name) for names in CALLED.values() for name in names}
    missing = (known | WITHOUT_FILES) - shipped
    for source in sources:
        for node in ast.walk(ast.parse(source.read_text())):
            if isinstance(node, ast.Attribute) and node.attr in missing:
                raise BundlingError(
                    f"{source.name}:{node.lineno} calls {node.attr}, which does not ship: "
                    "add it to CALLED in infra/build/botocore_data.py"
                )


def trim(data: Path) -> None:
    """Trim `botocore/data` in place; raise `BundlingError` where it is not as it is known here."""
    found = {path.name for path in data.iterdir() if path.is_file()}
    if found != SHARED:
        raise BundlingError(f"botocore/data has other files: {sorted(found ^ SHARED)}")
    _rewrite(data / "endpoints.json", _endpoints(_read(data / "endpoints.json")))
    for folder in [path for path in data.iterdir() if path.is_dir() and path.name not in CALLED]:
        shutil.rmtree(folder)
    for service in CALLED:
        _trim_service(data / service)


def _trim_service(folder: Path) -> None:
    newest = _version(folder)
    for version in [path for path in folder.iterdir() if path != newest]:
        shutil.rmtree(version)
    found = {path.name for path in newest.iterdir()}
    if unknown := found - SHIPPED - NEEDLESS:
        raise BundlingError(f"botocore/data/{folder.name} has other files: {sorted(unknown)}")
    for name in found & NEEDLESS:
        (newest / name).unlink()
    for name in found & SHIPPED:
        content = _read(newest / name)
        if name == MODEL:
            content = _model(content, CALLED[folder.name])
        _rewrite(newest / name, content)


def _version(folder: Path) -> Path:
    """Return the version that botocore takes: the newest that has a model."""
    versions = [path.parent for path in folder.glob(f"*/{MODEL}")]
    if not versions:
        raise BundlingError(f"botocore/data/{folder.name} has no {MODEL}")
    return max(versions)


def _endpoints(content: dict[str, Any]) -> dict[str, Any]:
    for partition in content["partitions"]:
        services = partition["services"]
        partition["services"] = {name: services[name] for name in CALLED if name in services}
    return content


def _model(content: dict[str, Any], called: set[str]) -> dict[str, Any]:
    content = _without_documentation(content)
    if absent := called - content["operations"].keys():
        raise BundlingError(f"botocore knows no {', '.join(sorted(absent))}")
    operations = {name: content["operations"][name] for name in sorted(called)}
    shapes: dict[str, Any] = {}
    pending = list(_named_shapes(operations))
    while pending:
        name = pending.pop()
        if name not in shapes:
            shapes[name] = content["shapes"][name]
            pending += _named_shapes(shapes[name])
    return content | {"operations": operations, "shapes": dict(sorted(shapes.items()))}


def _named_shapes(node: Any) -> Iterator[str]:
    """Yield the shapes to which a part of a model refers, at any depth."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "shape" and isinstance(value, str):
                yield value
            else:
                yield from _named_shapes(value)
    elif isinstance(node, list):
        for value in node:
            yield from _named_shapes(value)


def _without_documentation(node: Any) -> Any:
    """Return a part of a model without its texts; a member of that name is no text, and stays."""
    if isinstance(node, dict):
        return {
            key: _without_documentation(value)
            for key, value in node.items()
            if not (key == "documentation" and isinstance(value, str))
        }
    return [_without_documentation(value) for value in node] if isinstance(node, list) else node


def _read(path: Path) -> Any:
    content = path.read_bytes()
    return json.loads(gzip.decompress(content) if path.suffix == ".gz" else content)


def _rewrite(path: Path, content: Any) -> None:
    """Put JSON in a file's place, not compressed: Lambda's archive is, and reading is quicker."""
    path.unlink()
    plain = path.with_name(path.name.removesuffix(".gz"))
    plain.write_text(json.dumps(content, separators=(",", ":")))
