"""Two endpoints for tests: `echo` returns the request, `redirect` redirects."""

from __future__ import annotations

import base64
import hashlib

from werkzeug import Response

from .problems import json_response, violation
from .server import Request


def echo(request: Request) -> Response:
    """The request as JSON. The value of a repeated argument is a list."""
    return json_response(
        {
            "method": request.method,
            "path": request.path,
            "args": {
                name: values if len(values) > 1 else values[0]
                for name, values in request.args.lists()
            },
            "headers": dict(request.headers.items()),
            "body": base64.b64encode(request.body).decode(),
            "sha256": hashlib.sha256(request.body).hexdigest(),
            "size": len(request.body),
        }
    )


def redirect(request: Request) -> Response:
    """A redirect to the URL in `to`, with the status in `status` (302 by default)."""
    target = request.args.get("to", "")
    status = request.args.get("status", 302, type=int)
    if not target or not target.isprintable() or any(ord(each) > 0xFF for each in target):
        raise violation("to", "must be a URL")
    if not 200 <= status <= 999:
        raise violation("status", "must be a number from 200 to 999")
    return Response(status=status, headers={"Location": target})
