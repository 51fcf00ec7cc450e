"""An unknown sign of more is never the end of a list, in any spelling."""

from __future__ import annotations

import string
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from requests_iris import IncompleteListError, IrisSession, ListError
from requests_iris.sandbox import Fault, Sandbox

from ..support.clocks import SkippingClock
from ..support.depth import examples
from ..support.paths import ASSETS, FLEET, GRAPHQL, OPERATORS, QUERY
from .lists import LISTS, answers, ids, the_whole
from .rewriting import renamed, rewritten

AEMP, CURSOR, PAGES = f"{FLEET}/1", OPERATORS, ASSETS


def links(change: Callable[[str, str], dict | None], *, last: bool = False) -> Callable:
    """A change of each link of an AEMP page by its relation and target, without `last`."""

    def of_document(document: dict) -> None:
        kept = [each for each in document["Links"] if last or each["rel"] != "last"]
        changed = [change(each["rel"], each["href"]) for each in kept]
        document["Links"] = [each for each in changed if each is not None]

    return of_document


def linked(change: Callable[[dict[str, str]], Any], name: str = "Links") -> Callable:
    """A change of all links of an AEMP page, by relation, without `last`."""

    def of_document(document: dict) -> None:
        found = {each["rel"]: each["href"] for each in document.pop("Links")}
        found.pop("last")
        document[name] = change(found)

    return of_document


IANA = "http://www.iana.org/assignments/relation/"
#: Ways to spell the links of AEMP, all of which are understood.
UNDERSTOOD = {
    "Rel": links(lambda rel, href: {"Rel": rel, "Href": href}),
    "REL": links(lambda rel, href: {"REL": rel.upper(), "HREF": href}),
    "@rel": links(lambda rel, href: {"@rel": rel, "@href": href}),
    "Next": links(lambda rel, href: {"rel": rel.title(), "href": href}),
    "a list": links(lambda rel, href: {"rel": [rel], "href": href}),
    "a list of several": links(lambda rel, href: {"rel": ["item", rel], "href": href}),
    "several words": links(lambda rel, href: {"rel": f"item {rel}", "href": href}),
    "a URI": links(lambda rel, href: {"rel": IANA + rel, "href": href}),
    "a URN": links(lambda rel, href: {"rel": f"urn:iso15143:{rel}", "href": href}),
    "a fragment": links(lambda rel, href: {"rel": f"https://x.example/rels#{rel}", "href": href}),
    "a relative href": links(lambda rel, href: {"rel": rel, "href": href.rpartition("/")[2]}),
    "a path": links(lambda rel, href: {"rel": rel, "href": urlsplit(href).path}),
    "dots": links(lambda rel, href: {"rel": rel, "href": "./" + href.rpartition("/")[2]}),
    "url": links(lambda rel, href: {"rel": rel, "url": href}),
    "an object": linked(dict),
    "an object of objects": linked(lambda found: {k: {"href": v} for k, v in found.items()}),
    "an object of lists": linked(lambda found: {k: [{"href": v}] for k, v in found.items()}),
    "HAL": linked(lambda found: {k: {"href": v} for k, v in found.items()}, "_links"),
    "XML": linked(lambda found: {"Link": [{"@rel": k, "@href": v} for k, v in found.items()]}),
    "one object each": linked(lambda found: [{k: v} for k, v in found.items()]),
    "Link": linked(lambda found: [{"rel": k, "href": v} for k, v in found.items()], "Link"),
    "LINKS": linked(lambda found: [{"rel": k, "href": v} for k, v in found.items()], "LINKS"),
}
#: Ways that are not.
REFUSED = {
    **{
        word: links(
            lambda rel, href, word=word: {"rel": {"next": word}.get(rel, rel), "href": href}
        )
        for word in ("following", "nextPage", "next-page", "more", "successor", "n", "", "2")
    },
    "no relation": links(lambda rel, href: {"href": href}),
    "relation": links(lambda rel, href: {"relation": rel, "href": href}),
    "address": links(lambda rel, href: {"rel": rel, "address": href}),
    "text": links(lambda rel, href: f"{rel}: {href}"),
    "only next is not understood": links(
        lambda rel, href: {"rel": rel, "href": href} if rel != "next" else {"to": rel, "href": href}
    ),
    "another folder": links(
        lambda rel, href: (
            {"rel": rel.replace("next", "on"), "href": href.replace("/api/", "/x/")}
            if rel == "next"
            else {"rel": rel, "href": href}
        )
    ),
    "another name": linked(lambda found: [{"rel": k, "href": v} for k, v in found.items()], "Ways"),
    "all in one text": linked(str),
}


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("spelling", UNDERSTOOD)
def test_aemp_links_are_understood_in_many_spellings(iris, spelling, workers) -> None:
    arguments = rewritten({}, UNDERSTOOD[spelling])
    assert ids(iris.items(AEMP, max_workers=workers, **arguments)) == ids(the_whole("equipment"))


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("spelling", REFUSED)
def test_an_aemp_list_with_links_in_an_unknown_spelling_is_refused(iris, spelling, workers) -> None:
    with pytest.raises(ListError, match="page 1 of the list"):
        list(iris.items(AEMP, max_workers=workers, **rewritten({}, REFUSED[spelling])))


@pytest.mark.parametrize("rel", ["previous", "prior", "start", "up", "describedby", "item"])
def test_an_aemp_list_may_have_links_that_do_not_lead_on(iris, rel) -> None:
    """Such as a link to the page before, or to a machine."""

    def change(document: dict) -> None:
        here = document["Links"][0]["href"]
        folder, _, number = here.rpartition("/")
        target = f"{folder}/{int(number) - 1}" if rel in ("previous", "prior") else f"{folder}/1"
        target = target if rel in ("previous", "prior", "start") else f"{folder}/Equipment/ID/X"
        document["Links"].append({"rel": rel, "href": target})

    assert len(list(iris.items(AEMP, **rewritten({}, change)))) == 250


@pytest.mark.parametrize(
    "path",
    [
        *("/aemp/v2/123/-1/Fleet/1", "/aemp/v1/9/-2/Fleet/1", "/AEMP/V2/123/%2D1/fleet/1"),
        "/public/api/aemp/v2/15143/-3/Fleet/1",
        "/aemp/v2/123/-1/Fleet/Equipment/ID/A%2f1/Distance/2025-01-01T00%3A00%3A00Z/x/1",
    ],
)
def test_the_aemp_paths_of_every_account_are_aemp(sandbox, iris, path) -> None:
    """Therefore the request has no size, and a page without links is refused."""
    url = answers(sandbox, {"Equipment": [1], "Links": []}).replace("/api/odd", path)
    with pytest.raises(IncompleteListError, match="no links"):
        list(iris.items(url))
    assert sandbox.seen[-1].query == ""


@pytest.mark.parametrize("name", ["ID/4711", "ID/A%2F4711", "MakeModelSerial/Acme/X1/4711"])
def test_the_path_of_a_machine_with_a_number_for_a_name_is_no_page(sandbox, iris, name) -> None:
    sandbox.inject(Fault(status=200, body={"Equipment": [1]}), on="api")
    assert list(iris.items(f"/aemp/v2/123/-1/Fleet/Equipment/{name}")) == [1]


@pytest.mark.parametrize("spelling", ["After", "AFTER", "@after", "_after"])
def test_a_cursor_is_understood_in_any_case(iris, spelling) -> None:
    arguments = rewritten({"params": {"limit": 100}}, renamed({"after": spelling}))
    assert ids(iris.items(CURSOR, **arguments)) == ids(the_whole("operators"))


#: Other names of a cursor.
CURSORS = (
    *("nextCursor", "next_cursor", "NextCursor", "endCursor", "end_cursor", "cursor", "next"),
    *("nextAfter", "afterCursor", "pageToken", "next_page_token", "continuation", "scrollId"),
    *("continuationToken", "@odata.nextLink", "nextPage", "resumeToken", "LastEvaluatedKey"),
    # names that nobody can know: the first page is full, and it may lead on
    *("position", "bookmark", "anchor", "qzx", "token", "afterward", "seek", "x-next"),
)


@pytest.mark.parametrize("limit", [{"limit": 100}, {}])
@pytest.mark.parametrize("name", CURSORS)
def test_a_cursor_under_another_name_is_refused(iris, name, limit) -> None:
    with pytest.raises(IncompleteListError, match="page 1 of the list"):
        list(iris.items(CURSOR, **rewritten({"params": limit}, renamed({"after": name}))))


@pytest.mark.parametrize("around", ["cursors", "paging", "Cursors", "page", "meta", "pageInfo"])
@pytest.mark.parametrize("name", ["after", "After", "next", "nextCursor", "endCursor"])
def test_a_cursor_in_an_object_is_refused(iris, around, name) -> None:
    def change(document: dict) -> None:
        document[around] = {name: document.pop("after", None)}

    with pytest.raises(IncompleteListError, match="page 1 of the list"):
        list(iris.items(CURSOR, **rewritten({"params": {"limit": 100}}, change)))


@pytest.mark.parametrize("around", ["foo", "Envelope", "x-more-about"])
@pytest.mark.parametrize("name", ["after", "nextCursor", "endCursor"])
def test_a_cursor_in_an_object_of_an_unknown_name_is_refused_on_a_full_page(
    iris, around, name
) -> None:
    def change(document: dict) -> None:
        document[around] = {"deeper": {name: document.pop("after", None)}}

    with pytest.raises(IncompleteListError, match=f"unknown meaning .{around}|unknown way"):
        list(iris.items(CURSOR, **rewritten({"params": {"limit": 100}}, change)))


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("size", [{"size": 100}, {"limit": 100}, {"size": 50}])
def test_a_page_with_all_items_asked_for_that_says_nothing_is_refused(iris, size, workers) -> None:
    """Silence is not the end: the server may have more items."""
    arguments = rewritten({"params": {**size, "size": next(iter(size.values()))}}, bare)
    with pytest.raises(IncompleteListError, match="does not say whether more follow"):
        list(iris.items(PAGES, max_workers=workers, **arguments))


def test_a_page_with_fewer_items_than_asked_for_that_says_nothing_is_whole(iris) -> None:
    assert len(list(iris.items(PAGES, **rewritten({"params": {"size": 251}}, bare)))) == 250


@pytest.mark.parametrize(
    "end",
    [
        *({"total": 250}, {"hasMore": False}, {"last": True}, {"next": None}, {"isPartial": False}),
        *({"page": {"totalElements": 250}}, {"after": None}, {"pages": 1}),
    ],
    ids=str,
)
def test_a_page_with_all_items_asked_for_that_tells_the_end_is_whole(iris, end) -> None:
    change = rewritten({"params": {"size": 250}}, lambda document: {**bare(document), **end})
    assert len(list(iris.items(PAGES, **change))) == 250


def bare(document: dict) -> dict:
    return {"content": document["content"]}


@pytest.mark.parametrize(
    "names",
    [
        {"content": "Content", "totalElements": "TotalElements", "number": "Number"},
        {"content": "CONTENT", "totalElements": "total_elements", "totalPages": "TotalPages"},
        {"size": "Size", "number": "NUMBER"},
    ],
    ids=str,
)
@pytest.mark.parametrize("workers", [1, 4])
def test_page_numbers_are_understood_in_any_case(iris, names, workers) -> None:
    arguments = rewritten({"params": {"size": 100}}, renamed(names))
    found = ids(iris.items(PAGES, max_workers=workers, **arguments))
    assert found == ids(the_whole("assets"))


@pytest.mark.parametrize("names", [("Size",), ("totalElements", "number"), ("number", "size")])
def test_page_numbers_under_unknown_names_are_refused(iris, names) -> None:
    unknown = {name[0].lower() + name[1:]: f"{name}Xyz" for name in names}
    with pytest.raises(ListError):
        list(iris.items(PAGES, **rewritten({"params": {"size": 100}}, renamed(unknown))))


@pytest.mark.parametrize(
    "names",
    [
        *({"pageInfo": each} for each in ("PageInfo", "page_info", "info")),
        *({"hasNextPage": each} for each in ("HasNextPage", "hasNext", "more")),
        *({"endCursor": each} for each in ("EndCursor", "end_cursor", "cursor")),
        *({"edges": each} for each in ("Edges", "items")),
    ],
    ids=str,
)
def test_graphql_uses_the_names_of_the_query(iris, names) -> None:
    arguments = rewritten({"json": {"query": QUERY}}, renamed(names))
    with pytest.raises(ListError):
        list(iris.items(GRAPHQL, method="POST", **arguments))


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("pages", {"TotalElements": 3, "NUMBER": 9, "Content": [1], "SIZE": 2}),
        ("cursor", {"After": "bogus", "Content": [1]}),
        ("aemp", {"links": [], "LINKS": "x", "EQUIPMENT": [1]}),
    ],
)
def test_the_spelling_of_iris_wins_over_another_spelling(iris, name, other) -> None:
    url, arguments, kind = LISTS[name]
    arguments = rewritten(arguments, lambda document: {**other, **document})
    assert ids(iris.items(url, **arguments)) == ids(the_whole(kind))


def test_two_foreign_spellings_that_contradict_are_refused(sandbox, iris) -> None:
    url = answers(sandbox, {"content": [1], "After": "a", "AFTER": "b"})
    with pytest.raises(IncompleteListError, match="contradict"):
        list(iris.items(url))


@pytest.mark.parametrize("more", [{"hasMore": True}, {"nextPage": 4}, {"isLast": False}], ids=str)
@pytest.mark.parametrize("name", ["pages", "post", "cursor", "aemp"])
def test_a_last_page_with_a_sign_of_more_is_refused_in_every_style(iris, name, more) -> None:
    url, arguments, _ = LISTS[name]
    with pytest.raises(IncompleteListError, match="tells of more pages"):
        list(iris.items(url, **rewritten(arguments, lambda document: {**document, **more})))


@pytest.mark.parametrize(
    "whole",
    [
        {"plans": [1], "rel": "self", "href": "/api/odd"},
        {"plans": [1], "remaining": 99, "nextService": "2026-01-01", "token": "x", "id": "a"},
        {"plans": [1], "links": [{"rel": "owner", "href": "/api/users/7"}]},
        {"plans": [1], "links": [{"rel": "related", "href": "/api/odd?brand=Acme"}]},
        {"plans": [1], "_links": {"self": {"href": "/api/odd"}, "site": {"href": "/api/sites/2"}}},
        {"plans": [1], "_links": {"find": {"href": "/api/odd{?page,size}", "templated": True}}},
        {"plans": [1], "links": [{"rel": "last", "href": "/api/odd?page=0&size=20"}]},
        {"plans": [1], "links": [{"rel": "begin", "href": "/api/odd?page=0"}], "next": {}},
        {"plans": [1], "pageInfo": {"hasNextPage": False, "endCursor": "x", "startCursor": "x"}},
        {"plans": [1], "lastUpdated": "x", "completed": False, "moreInfo": "see the manual"},
    ],
    ids=str,
)
def test_ordinary_members_beside_a_list_are_no_sign_of_more(sandbox, iris, whole) -> None:
    assert list(iris.items(answers(sandbox, whole))) == [1]


def test_links_from_one_resource_to_its_neighbours_are_no_pages(sandbox, iris) -> None:
    neighbours = [{"rel": "neighbour", "href": "/api/sites/43"}, {"rel": "self", "href": "/x"}]
    sandbox.inject(Fault(status=200, body={"machines": [1], "links": neighbours}), on="api")
    assert list(iris.items("/api/sites/42")) == [1]


@pytest.mark.parametrize(
    "link",
    [
        {"rel": "following", "href": "/api/odd?page=1"},
        {"rel": "more", "href": "?cursor=abc"},
        {"rel": "page2", "href": "https://elsewhere.example/api/odd?offset=20"},
        {"href": "/api/odd?after=x"},
    ],
    ids=str,
)
def test_an_unknown_relation_to_another_page_of_the_list_is_refused(sandbox, iris, link) -> None:
    with pytest.raises(IncompleteListError, match="tells of more pages"):
        list(iris.items(answers(sandbox, {"plans": [1], "links": [link]})))


#: The paging members of each style, and the path to their objects.
MEMBERS = {
    "pages": ("content", "number", "size", "totalElements", "totalPages", "numberOfElements"),
    "post": ("content", "number", "size", "totalElements", "totalPages", "numberOfElements"),
    "cursor": ("content", "limit", "after", "before"),
    "aemp": ("Links", "Equipment", "rel", "href", "next", "last", "self", "prev"),
    "graphql": ("data", "assets", "edges", "node", "pageInfo", "hasNextPage", "endCursor"),
}


def spellings(name: str) -> st.SearchStrategy[str]:
    """Spellings of a name, and different names."""
    flags = st.lists(st.booleans(), min_size=len(name), max_size=len(name))
    case = flags.map(lambda ups: "".join(map(_in_case, name, ups)))
    snake = st.just("".join(f"_{c.lower()}" if c.isupper() else c for c in name))
    prefixed = st.sampled_from("@_$").map(lambda sign: sign + name)
    other = st.sampled_from([*CURSORS, "more", "following", f"{name}s", f"the{name}"])
    any_word = st.text(string.ascii_letters, min_size=1, max_size=8)
    return st.one_of(st.just(name), case, snake, prefixed, other, any_word)


def _in_case(letter: str, up: bool) -> str:
    return letter.upper() if up else letter.lower()


def respelled(document: Any, names: dict[str, str]) -> Any:
    """The page with changed names and changed relations. Items stay as they are."""
    if isinstance(document, list):
        marks = {"rel", "node"}  # of a link, and of an edge
        return [respelled(e, names) if marks & set(e) else e for e in document]
    if not isinstance(document, dict):
        return document
    found = {}
    for name, value in document.items():
        value = names.get(value, value) if name == "rel" else value
        found[names.get(name, name)] = value if name == "node" else respelled(value, names)
    return found


@pytest.fixture(scope="module")
def shared() -> Iterator[tuple[Sandbox, IrisSession]]:
    with (
        Sandbox(machines=35) as sandbox,
        IrisSession(**sandbox.settings, clock=SkippingClock()) as iris,
    ):
        iris.verify = sandbox.ca_file
        sandbox.aemp.page_size = 10
        yield sandbox, iris


@pytest.mark.parametrize("name", LISTS)
def test_a_list_in_any_spelling_is_read_whole_or_refused(shared, name) -> None:
    """Each page may be spelled in its own way."""
    sandbox, iris = shared
    url, arguments, kind = LISTS[name]
    expected = ids(the_whole(kind, 35))
    one_page = st.fixed_dictionaries({each: spellings(each) for each in MEMBERS[name]})
    few = st.sets(st.sampled_from(MEMBERS[name]), min_size=1, max_size=3)

    @settings(max_examples=examples(25), suppress_health_check=list(HealthCheck))
    @given(
        pages=st.lists(st.tuples(few, one_page), min_size=1, max_size=4),
        workers=st.sampled_from([1, 4]),
        without_last=st.booleans(),
    )
    def holds(pages, workers, without_last) -> None:
        sandbox.aemp.next_link = True
        seen = iter([*pages, *[pages[-1]] * 50])

        def change(document: dict) -> dict:
            if without_last and "Links" in document:
                document["Links"] = [each for each in document["Links"] if each["rel"] != "last"]
            chosen, names = next(seen)
            return respelled(document, {each: names[each] for each in chosen})

        try:
            found = list(iris.items(url, max_workers=workers, **rewritten(arguments, change)))
        except ListError:
            return
        assert ids(found) == expected

    holds()
