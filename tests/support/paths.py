"""Paths of the sandbox's lists, and a GraphQL query for the sandbox."""

ASSETS = "/api/asset/v1/assets"
OPERATORS = "/public/api/operator/operators"
FLEET = "/public/api/aemp/v2/15143/-3/Fleet"
GRAPHQL = "/api/graphql/"
EVENTS = "/public/api/eventlog/v3/asset-event/log"
#: The members that the event log requires, for the events of the whole fleet.
EVENTS_BODY = {"fromTime": "2025-01-01T00:00:00Z", "toTime": "2026-01-01T00:00:00Z"}
PLANS = "/public/api/service/v1/service-plans"
#: Headers that ask the AEMP snapshots for JSON.
JSON = {"Accept": "application/json"}
QUERY = """
query ($first: Int, $after: String) {
  assets(first: $first, after: $after) {
    edges { node { id name } }
    pageInfo { hasNextPage endCursor }
  }
}
"""
