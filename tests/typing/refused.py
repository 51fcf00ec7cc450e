"""Calls that type checkers must refuse, each in a line of its own.

Only type checkers read this file (``tox -e types``). The comments name the expected error, for mypy
and for pyright. Both checkers report a comment without an error, so each line must be refused.
"""

from __future__ import annotations

from datetime import datetime

from requests_iris import IrisSession, windows

iris, now = IrisSession(), datetime.now().astimezone()

iris.items("/x", worker=3)  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
iris.items("/x", workers=3)  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
iris.items("/x", key="y")  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
iris.items("/x", 3)  # type: ignore[call-arg, arg-type] # pyright: ignore[reportCallIssue]
iris.items("/x", max_workers="3")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
iris.items("/x", timeout="3")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
iris.items("/x", resume="3")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
iris.items("/x", progress="x")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
iris.items(5)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
iris.pages("/x", worker=3)  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
iris.pages("/x", progress=True)  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
iris.pages("/x", params=5)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]

iris.items("/x").finished = True  # type: ignore[misc] # pyright: ignore[reportAttributeAccessIssue]
iris.pages("/x").resum()  # type: ignore[attr-defined] # pyright: ignore[reportAttributeAccessIssue]
iris.series("x", "y", now)  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
iris.series(7, "y", now, now)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
iris.series("x", "y", "z", now)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
iris.series("x", "y", now, now, 5)  # type: ignore[call-arg, arg-type] # pyright: ignore[reportCallIssue]
iris.series("x", "y", now, now, lookback=6)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
iris.series("x", "y", now, now, items_path="z")  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
windows(now, now)  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
windows(now, now, step=14)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
windows("x", now, step=now - now)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]

iris.get("/x", idempotnt=True)  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
iris.get("/x", withhold_token="x")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
iris.options("/x", withheld=True)  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
iris.head("/x", idempotent=1.5)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
iris.post("/x", jsn={})  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
iris.post("/x", idempotent="yes")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
iris.put("/x", max_workers=3)  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
iris.patch("/x", headers=[1])  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
iris.delete("/x", client_secret="x")  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]

IrisSession(timeout=5)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
IrisSession(verify=False)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
IrisSession(workers=3)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
IrisSession(leeway="5")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
IrisSession("client", "secret")  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
IrisSession(retry="5")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
IrisSession(allowed_hosts=5)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
IrisSession.from_env(5)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]

iris.leeway = 5  # type: ignore[assignment] # pyright: ignore[reportAttributeAccessIssue]
iris.token_url = "x"  # type: ignore[assignment] # pyright: ignore[reportAttributeAccessIssue]
iris.username = "x"  # type: ignore[assignment] # pyright: ignore[reportAttributeAccessIssue]
iris.token = 5  # type: ignore[assignment] # pyright: ignore[reportAttributeAccessIssue]
iris.token["acces_token"]  # type: ignore[typeddict-item] # pyright: ignore[reportGeneralTypeIssues]
iris.counters["tokns"]  # type: ignore[typeddict-item] # pyright: ignore[reportGeneralTypeIssues]
