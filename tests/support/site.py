"""A site on loopback, for tests that need one which is not the project's."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from tests.support.loopback import Reply, Request, answering


@contextmanager
def site(files: Mapping[str, str]) -> Iterator[str]:
    """Serve texts by path until the block ends; `files` may change meanwhile."""

    def answer(request: Request) -> Reply:
        text = files.get(request.path)
        kind = "text/html" if request.path == "/" else "application/json"
        status = 404 if text is None else 200
        return status, (text or "").encode(), {"Content-Type": kind}

    with answering(answer) as server:
        yield server.url
