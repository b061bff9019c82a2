"""A site on loopback, for tests that need one which is not the project's."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from infra.web.loopback import serving
from tests.support.loopback import Handler


@contextmanager
def site(files: Mapping[str, str]) -> Iterator[str]:
    """Serve texts by path until the block ends; `files` may change meanwhile."""

    class Files(Handler, BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            text = files.get(self.path)
            kind = "text/html" if self.path == "/" else "application/json"
            status = 404 if text is None else 200
            self.answer(status, (text or "").encode(), {"Content-Type": kind})

    with serving(ThreadingHTTPServer(("127.0.0.1", 0), Files)) as server:
        yield f"http://127.0.0.1:{server.server_port}"
