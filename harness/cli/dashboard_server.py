"""Optuna's dashboard, answering to names of this machine alone: a program, STORAGE PORT, of `spikeslab dashboard`."""

import re
import sys
from collections.abc import Iterable
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

OWN_HOST = re.compile(r"(localhost|127\.0\.0\.1)(:\d+)?")  # with any port, as a tunnel's may be another


def refuse_other_hosts(app: WSGIApplication) -> WSGIApplication:
    """The application, for this machine alone.

    A page of another site, open in a browser here, must not reach it by a name that it points to this machine.
    """

    def checked(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if OWN_HOST.fullmatch(environ.get("HTTP_HOST", "")):
            return app(environ, start_response)
        start_response("403 Forbidden", [("Content-Type", "text/plain")])
        return [b"Only localhost and 127.0.0.1 are served.\n"]

    return checked


class _Server(ThreadingMixIn, WSGIServer):
    """One thread for each request."""


class _Handler(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        """Write no line for each request."""


def main(storage: str, port: int) -> None:
    """Serve until a signal ends it."""
    from optuna_dashboard import wsgi

    make_server("127.0.0.1", port, refuse_other_hosts(wsgi(storage)), _Server, _Handler).serve_forever()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
