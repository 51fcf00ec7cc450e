"""Processes for tests, started by a fork server: a fork would copy the locks of other threads."""

from __future__ import annotations

import multiprocessing
from multiprocessing import forkserver

context = multiprocessing.get_context("forkserver")
# The server imports the modules with the work of the processes once. There is one server for all
# tests, and the last call of `set_forkserver_preload` counts, so all such modules are named here.
context.set_forkserver_preload(
    [
        *("filelock", "redis"),
        "tests.cli.test_resume",
        "tests.integration.test_client_credentials",
        "tests.integration.test_list_kills",
        "tests.integration.test_shared_token",
        "tests.integration.test_store_kills",
    ]
)
# The server keeps the environment of its start for all processes, so the server starts before any
# test sets a variable such as REQUESTS_CA_BUNDLE.
forkserver.ensure_running()
