"""Endpoints that tests use: one tells what arrived, one sends elsewhere."""

from __future__ import annotations

import base64
import hashlib

from werkzeug import Response

from .problems import reply, violation
from .server import Request


def echo(request: Request) -> Response:
    """What arrived: an argument given several times is a list."""
    return reply(
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
    """To the URL in `to`, with the status in `status`, 302 if none is given."""
    target = request.args.get("to")
    status = request.args.get("status", 302, type=int)
    if not target:
        raise violation("to", "must be a URL")
    return Response(status=status, headers={"Location": target})
