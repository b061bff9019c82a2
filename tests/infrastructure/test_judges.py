"""
What `make judges` makes of findings; the judges themselves are asked there, over the network.
"""

from __future__ import annotations

import pytest

from tests.infrastructure.judges import Accepted, Finding, accepted, compare, plain


def test_a_new_finding_and_one_that_is_gone_are_told_apart() -> None:
    left = [Accepted(("A", "B"), ("Table", "Key"), "because")]
    found = {Finding("A", "Table"), Finding("A", "Key"), Finding("B", "Table"), Finding("C", "Key")}
    assert compare(found, left) == ({Finding("C", "Key")}, {Finding("B", "Key")})


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("VendorLog35D9EE37", "VendorLog"),
        ("AuroraTokenVendor-production/Default/Vendor/Log/Resource", "VendorLog"),
        (
            (
                "AuroraTokenVendor-production/Custom::CDKBucketDeployment"
                "8693BB64968944B69AAFB0CC9EB8756C/ServiceRole/DefaultPolicy/Resource"
            ),
            "CustomCDKBucketDeploymentServiceRoleDefaultPolicy",
        ),
        (
            "CustomCDKBucketDeployment8693BB64968944B69AAFB0CC9EB8756C81C01536",
            "CustomCDKBucketDeployment",
        ),
    ],
    ids=["logical id", "path", "path of the CDK's function", "id of the CDK's function"],
)
def test_judges_name_a_resource_alike(name: str, expected: str) -> None:
    assert plain(name) == expected


def test_every_acceptance_has_its_reason_and_none_is_written_twice() -> None:
    known = [finding for each in accepted() for finding in each.findings()]
    assert len(known) == len(set(known)) > 0
    assert all(len(each.reason) > 20 for each in accepted())
