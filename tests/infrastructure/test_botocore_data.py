"""What ships of botocore's data: all that the functions call, and a build that fails otherwise."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import botocore
import botocore.session
import pytest
from botocore.loaders import Loader
from botocore.model import OperationModel, ServiceModel, Shape
from botocore.regions import EndpointResolver

from infra.build import BundlingError, botocore_data
from infra.build.botocore_data import CALLED, check_calls, operations, trim
from infra.build.lambda_asset import SOURCES

WHOLE = Path(botocore.__file__).parent / "data"
SERVICES = pytest.mark.parametrize("service", sorted(CALLED))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Give a copy of botocore's data that a test may spoil and trim."""
    folder = tmp_path / "data"
    folder.mkdir()
    for each in WHOLE.iterdir():
        if each.is_file():
            shutil.copyfile(each, folder / each.name)
        elif each.name in {*CALLED, "s3"}:
            shutil.copytree(each, folder / each.name)
    return folder


def loader(data: Path) -> Loader:
    return Loader(extra_search_paths=[str(data)], include_default_search_paths=False)


def model(data: Path, service: str) -> ServiceModel:
    return ServiceModel(loader(data).load_service_model(service, "service-2"), service)


def shapes(operation: OperationModel) -> Iterator[Shape]:
    """Walk through every shape of an operation once."""
    seen: set[str] = set()
    pending = [operation.input_shape, operation.output_shape, *operation.error_shapes]
    while pending:
        shape = pending.pop()
        if shape is not None and shape.name not in seen:
            seen.add(shape.name)
            yield shape
            pending += getattr(shape, "members", {}).values()
            pending += [getattr(shape, name, None) for name in ("member", "key", "value")]


@SERVICES
def test_operations_are_as_botocore_has_them(data: Path, service: str) -> None:
    """Every shape of a called operation is the whole model's, but for the texts."""
    trim(data)
    whole, trimmed = model(WHOLE, service), model(data, service)
    assert trimmed.metadata == whole.metadata
    rules = [
        loader(folder).load_service_model(service, "endpoint-rule-set-1")
        for folder in (WHOLE, data)
    ]
    assert rules[0] == rules[1]
    assert set(trimmed.operation_names) == CALLED[service]
    for name in CALLED[service]:
        ours, theirs = trimmed.operation_model(name), whole.operation_model(name)
        assert ours.http == theirs.http
        described = {each.name: (each.type_name, each.metadata) for each in shapes(theirs)}
        assert {each.name: (each.type_name, each.metadata) for each in shapes(ours)} == described
        members = {each.name: list(getattr(each, "members", {})) for each in shapes(theirs)}
        assert {each.name: list(getattr(each, "members", {})) for each in shapes(ours)} == members


@SERVICES
def test_every_region_of_every_partition_is_there(data: Path, service: str) -> None:
    """A stage may be deployed wherever AWS is: all endpoints of the services are botocore's."""
    trim(data)
    whole, trimmed = (
        EndpointResolver(loader(folder).load_data("endpoints")) for folder in (WHOLE, data)
    )
    partitions = whole.get_available_partitions()
    assert (
        {"aws", "aws-cn", "aws-us-gov"}
        <= set(partitions)
        == set(trimmed.get_available_partitions())
    )
    for partition in partitions:
        regions = whole.get_available_endpoints(service, partition, allow_non_regional=True)
        assert trimmed.get_available_endpoints(service, partition, allow_non_regional=True) == (
            regions
        )
        for region in [*regions, *whole._endpoint_data["partitions"][0]["regions"]]:
            assert trimmed.construct_endpoint(service, region) == whole.construct_endpoint(
                service, region
            )


def test_operations_that_ship_are_those_in_the_code() -> None:
    """All that the functions call ship, and none that they do not call."""
    sources, known = list((SOURCES / "token_vendor").rglob("*.py")), operations(WHOLE)
    check_calls(sources, known)
    for service, names in CALLED.items():
        for name in names:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(botocore_data, "CALLED", CALLED | {service: names - {name}})
                with pytest.raises(BundlingError, match="does not ship"):
                    check_calls(sources, known)


@pytest.mark.parametrize("method", ["get_paginator", "get_waiter", "query", "describe_secret"])
def test_call_is_seen_whatever_it_is_called_on(tmp_path: Path, method: str) -> None:
    source = tmp_path / "some.py"
    source.write_text(f"made()['client'].{method}()\n")
    with pytest.raises(BundlingError, match=rf"^some\.py:1 calls {method}, which"):
        check_calls([source], operations(WHOLE))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        pytest.param(
            lambda data: (data / "endpoints-2.json").touch(), "endpoints-2", id="another shared"
        ),
        pytest.param(lambda data: (data / "_retry.json").unlink(), "_retry", id="one shared less"),
        pytest.param(
            lambda data: (data / "dynamodb" / "2012-08-10" / "rules.json").touch(),
            r"dynamodb has other files: \['rules\.json'\]",
            id="another of a service",
        ),
        pytest.param(
            lambda data: shutil.rmtree(data / "secretsmanager"),
            "secretsmanager",
            id="a service less",
        ),
    ],
)
def test_other_layout_fails_the_build(data: Path, change: Callable[[Path], Any], told: str) -> None:
    change(data)
    with pytest.raises(BundlingError, match=told):
        trim(data)
