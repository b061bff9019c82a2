"""AWS on this machine: MiniStack in a child process."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import urllib3
from botocore.config import Config

from infra.local.processes import clean_environment, running

REGION = "us-east-1"
ACCOUNT = "000000000000"
START_TIMEOUT = 120
GUARDED = Path(__file__).with_name("guarded_ministack.py")
# MiniStack takes any credentials; without these the SDKs would look for real ones.
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_REGION": REGION,
    "AWS_DEFAULT_REGION": REGION,
    "AWS_EC2_METADATA_DISABLED": "true",
}


@dataclass(frozen=True)
class MiniStack:
    url: str

    def client(self, service: str) -> Any:
        make: Any = boto3.client  # Typed per service name, which is a variable here.
        return make(
            service,
            endpoint_url=self.url,
            # Loopback is not behind a proxy, whatever HTTP_PROXY says.
            config=Config(proxies={}),
            region_name=REGION,
            aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        )

    def environment(self) -> dict[str, str]:
        """Give the variables that point any AWS SDK or CLI at it."""
        return CREDENTIALS | {"AWS_ENDPOINT_URL": self.url}


@contextmanager
def ministack(*, port: int, log: Path, scratch: Path) -> Iterator[MiniStack]:
    """Run MiniStack until the block ends; what it writes, it writes below `scratch`."""
    env = clean_environment(
        GATEWAY_PORT=str(port),
        BIND_HOST="127.0.0.1",
        TMPDIR=str(scratch),
        S3_DATA_DIR=str(scratch / "s3"),
        **CREDENTIALS,
    )
    stack = MiniStack(f"http://127.0.0.1:{port}")
    with running([sys.executable, "-P", str(GUARDED)], log=log, env=env) as child:
        child.wait_until(lambda: _is_healthy(stack.url), START_TIMEOUT)
        yield stack


def _is_healthy(url: str) -> bool:
    try:
        answer = urllib3.request("GET", f"{url}/_ministack/health", retries=False, timeout=2)
    except urllib3.exceptions.HTTPError:
        return False
    return answer.status == 200  # noqa: PLR2004  # HTTP's own number.
