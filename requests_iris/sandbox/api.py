"""The API: checks the access token of every request, and serves the fleet."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from werkzeug import Response
from werkzeug.exceptions import HTTPException, MethodNotAllowed
from werkzeug.routing import Map, Rule

from . import aemp, graphql, lists
from .authorization import API_SCOPE, Authorization
from .echo import echo, redirect
from .fleet import Fleet, Item
from .keys import scope_for
from .limits import Limits, TooMany
from .points import Points
from .problems import Problem, json_response, violation
from .quotas import Quotas
from .server import Request
from .times import time_of

#: The function of a route. Arguments: the Api, the request, and the variable parts of the path.
Endpoint = Callable[..., Response]

#: The AEMP lists of an account, such as 15143/-3, and a prefix that some clients use.
_ACCOUNTS = ("/public/api/aemp/v2/<_owner>/<_account>", "/aemp/v2/<_owner>/<_account>")
_AEMP_SERIES = "Fleet/Equipment/ID/<pin>/<data_point>/<start>/<end>/<int:number>"
_GRAPHQL = "/api/graphql/"
_TIME_SERIES = "/api/time-series/v1/assets/<asset_id>/prometheus/api/v1"
_CHALLENGE = 'Bearer realm="iris"'


class Api:
    """Responds to a request. The response to a wrong request is an error object of IRIS."""

    def __init__(
        self,
        fleet: Fleet,
        *,
        authorization: Authorization,
        limits: Limits,
        quotas: Quotas,
        aemp_habits: aemp.Habits,
        points: Points,
        key_paths: Mapping[str, str | None],
    ) -> None:
        #: The paths that accept tokens of API keys, with the necessary scope.
        self.key_paths = key_paths
        #: Assigned as a whole, and read once by each request: no thread sees half a change.
        self.fleet = fleet
        self._authorization = authorization
        self._limits = limits
        self._quotas = quotas
        self._aemp_habits = aemp_habits
        self.late_data = aemp.LateData()
        self._points = points

    def __call__(self, request: Request) -> Response:
        try:
            self._check_bearer(request)
            self._limits.check(request.path)
            endpoint, parts = _find(request)
            return endpoint(self, request, **parts)
        except TooMany as problem:
            return _too_many(request, problem)
        except Problem as problem:
            return problem.response

    def refusal(self, request: Request) -> Response | None:
        """The 429 for a request beyond the quotas, or None. IRIS counts each request on arrival.

        A token shows the user also if the token has expired. An unknown user has no quota.
        """
        owner = self._authorization.owner(request)
        try:
            if owner is not None:
                self._quotas.check(request, owner)
        except TooMany as problem:
            return _too_many(request, problem)
        return None

    def _check_bearer(self, request: Request) -> None:
        grant = self._authorization.grant(request)
        accepted = True
        needed: str | None = API_SCOPE
        if grant is not None and grant.is_key:
            accepted, needed = scope_for(request.path, self.key_paths)
        if grant is None or not accepted:
            challenge = _CHALLENGE
            if "Authorization" in request.headers:
                challenge += ', error="invalid_token"'
            message = "Credentials are missing or not valid."
            raise Problem(401, "unauthorized", message, headers={"WWW-Authenticate": challenge})
        if needed is not None and needed not in grant.scopes:
            raise Problem(403, "forbidden", f"The token does not have the scope {needed}.")

    def _assets(self, request: Request) -> Response:
        return json_response(lists.page(self.fleet.assets, request.args))

    def _asset(self, _request: Request, asset_id: str) -> Response:
        return json_response(self._find_asset(asset_id))

    def _find_asset(self, asset_id: str) -> Item:
        asset = self.fleet.asset(asset_id)
        if asset is None:
            raise Problem(404, "asset_not_found", f"There is no asset {asset_id}.")
        return asset

    def _operators(self, request: Request) -> Response:
        return json_response(lists.cursor_page(self.fleet.operators, request.args))

    def _snapshot(self, request: Request, number: int) -> Response:
        return aemp.snapshot(self.fleet.equipment, number, request, self._aemp_habits)

    def _aemp_series(self, request: Request, **parts: Any) -> Response:
        return aemp.series(self.fleet, self.late_data, request, self._aemp_habits, **parts)

    def _graphql(self, request: Request) -> Response:
        return graphql.execute(self.fleet, request, self._points)

    def _events(self, request: Request) -> Response:
        """The list read by POST. The body has `fromTime` and `toTime`, the query has the page.

        The body may have `{"assetIds": [...]}`.
        """
        body = _json_object(request)
        since, until = _times(body, "fromTime", "toTime")
        wanted = _asset_ids(body)
        events = [
            event
            for event in self.fleet.events_between(since, until)
            if wanted is None or event["assetId"] in wanted
        ]
        return json_response(lists.page(events, request.args))

    def _service_plans(self, _request: Request) -> Response:
        return json_response({"servicePlans": self.fleet.service_plans})

    def _time_series(self, request: Request, asset_id: str) -> Response:
        """A series of operating hours: a value for each `step` seconds from `start` to `end`."""
        asset = self._find_asset(asset_id)
        start, end, step = (_seconds(request, field) for field in ("start", "end", "step"))
        if step <= 0 or (end - start) / step > lists.MAX_SIZE:
            raise violation("step", f"must give at most {lists.MAX_SIZE} values")
        values = [[start + n * step, str(n)] for n in range(int((end - start) / step) + 1)]
        series = {"metric": {"asset": asset["id"], **_metric(request)}, "values": values}
        data = {"resultType": "matrix", "result": [series]}
        return json_response({"status": "success", "isPartial": False, "data": data})

    def _echo(self, request: Request) -> Response:
        return echo(request)

    def _redirect(self, request: Request) -> Response:
        return redirect(request)


def _get(path: str, endpoint: Endpoint) -> Rule:
    return Rule(path, endpoint=endpoint, methods=["GET"])


def _post(path: str, endpoint: Endpoint) -> Rule:
    return Rule(path, endpoint=endpoint, methods=["POST"])


#: One Map for all sandboxes of a process, because making a Map takes longer than making the rest of
#: a sandbox. Threads may share a Map. A missing slash at the end matters to IRIS: IRIS does not
#: redirect to the right path.
_ROUTES = Map(
    [
        _get("/api/asset/v1/assets", Api._assets),
        _get("/api/asset/v1/assets/<asset_id>", Api._asset),
        _get("/public/api/operator/operators", Api._operators),
        *(_get(f"{account}/Fleet/<int:number>", Api._snapshot) for account in _ACCOUNTS),
        *(_get(f"{account}/{_AEMP_SERIES}", Api._aemp_series) for account in _ACCOUNTS),
        _post(_GRAPHQL, Api._graphql),
        _post("/public/api/eventlog/v3/asset-event/log", Api._events),
        _get("/public/api/service/v1/service-plans", Api._service_plans),
        _get(f"{_TIME_SERIES}/query_range", Api._time_series),
        Rule("/echo", endpoint=Api._echo),
        Rule("/redirect", endpoint=Api._redirect),
    ],
    redirect_defaults=False,
    merge_slashes=False,
)


def _find(request: Request) -> tuple[Endpoint, dict[str, Any]]:
    try:
        path = "/".join(map(_escaped, request.segments))
        endpoint, parts = _ROUTES.bind("").match(path, method=request.method)
    except MethodNotAllowed as error:
        allowed = ", ".join(sorted(error.valid_methods or ()))
        message = f"{request.method} is not allowed here."
        raise Problem(405, "method_not_allowed", message, headers={"Allow": allowed}) from None
    except HTTPException:
        raise Problem(404, "not_found", "The sandbox does not know this path.") from None
    return endpoint, {
        name: _unescaped(part) if isinstance(part, str) else part
        for name, part in parts.items()
        if not name.startswith("_")
    }


def _too_many(request: Request, problem: TooMany) -> Response:
    return graphql.rate_limited(problem) if request.path == _GRAPHQL else problem.response


def _escaped(segment: str) -> str:
    """A decoded segment without a slash, for the routes."""
    return segment.replace("%", "%25").replace("/", "%2F")


def _unescaped(segment: str) -> str:
    return segment.replace("%2F", "/").replace("%25", "%")


def _json_object(request: Request) -> dict[str, Any]:
    try:
        return dict(request.json() if request.body else {})
    except (ValueError, TypeError):
        raise Problem(400, "invalid_body", "The body must be a JSON object.") from None


def _times(body: Mapping[str, Any], *fields: str) -> list[datetime]:
    """The times in the body.

    :raises Problem: with a violation for each missing field.
    """
    if missing := [field for field in fields if body.get(field) is None]:
        message = "The request is not valid."
        violations = dict.fromkeys(missing, "must not be null")
        raise Problem(400, "constraint_violation", message, violations=violations)
    return [time_of(field, body[field]) for field in fields]


def _asset_ids(body: Mapping[str, Any]) -> list[str] | None:
    if "assetIds" not in body:
        return None
    if not isinstance(body["assetIds"], list):
        raise violation("assetIds", "must be a list")
    return body["assetIds"]


def _metric(request: Request) -> dict[str, str]:
    query = request.args.get("query")
    if not query:
        raise violation("query", "must not be empty")
    return {"__name__": query}


def _seconds(request: Request, field: str) -> float:
    seconds = request.args.get(field, type=float)
    if seconds is None or not math.isfinite(seconds):
        raise violation(field, "must be a number of seconds")
    return seconds
