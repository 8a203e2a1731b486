"""Every route of the real server: HEAD is GET without a body, and a slash at the end is nothing."""

import json
import re
from collections.abc import Mapping

import pytest

from gateway.rest_compat.routes import ROUTES
from tests.support.live import LiveGateway
from tests.support.raw_http import Answer, Connection, raw

HEALTH = raw("GET /healthcheck HTTP/1.1\nHost: localhost")
SERVED = [
    *("/", "/v2", "/healthcheck", "/graphql?query=%7B__typename%7D", "/graphql"),
    *(f"/v2/demo{path}" for path, method, _, _ in ROUTES if method == "GET"),
]
"""What GET is for; the second of GraphQL's is refused, as it has no query."""
OTHERS = ["/nowhere", "/v2/demo", "/graphql/assets/none.js", "/graphql/token"]
CHANGING = {"date", "x-openstack-request-id"}


@pytest.fixture(scope="module")
def ids(live_gateway: LiveGateway) -> Mapping[str, str]:
    """Return the id of the first item of each resource, by the resource's name."""
    found = {}
    for resource in ("backups", "jobs", "actions", "clients", "sessions"):
        listed = json.loads(ask(live_gateway, f"GET /v2/demo/{resource}?limit=1").body)
        (item,) = listed[resource]
        found[resource] = item.get(f"{resource[:-1]}_id") or item["client"]["client_id"]
    return found


def ask(gateway: LiveGateway, request: str) -> Answer:
    """Return the answer to a request; it is whole, so another one may follow it."""
    with Connection(gateway.url) as connection:
        connection.send(raw(f"{request} HTTP/1.1\nHost: localhost") + HEALTH)
        answer = connection.read(to_head=request.startswith("HEAD "))
        assert connection.read().body == b"OK"
    return answer


def filled(path: str, ids: Mapping[str, str]) -> str:
    """Return a route's path with ids of items that exist."""
    return re.sub(r"(\w+)/{id}", lambda place: f"{place[1]}/{ids[place[1]]}", path)


def steady(answer: Answer) -> Mapping[str, str]:
    """Return the headers that are the same whenever the answer is given."""
    return {name: value for name, value in answer.headers.items() if name not in CHANGING}


@pytest.mark.parametrize("path", [*SERVED, *OTHERS])
def test_head_is_get_without_a_body(
    live_gateway: LiveGateway, ids: Mapping[str, str], path: str
) -> None:
    got = ask(live_gateway, f"GET {filled(path, ids)}")
    head = ask(live_gateway, f"HEAD {filled(path, ids)}")
    assert (head.status, steady(head)) == (got.status, steady(got))
    assert int(head.headers["content-length"]) == len(got.body)


@pytest.mark.parametrize("path", SERVED)
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_a_slash_at_the_end_makes_no_difference(
    live_gateway: LiveGateway, ids: Mapping[str, str], method: str, path: str
) -> None:
    address, _, query = filled(path, ids).partition("?")
    plain = ask(live_gateway, f"{method} {address}?{query}")
    slashed = ask(live_gateway, f"{method} {address}/?{query}")
    assert (slashed.status, steady(slashed)) == (plain.status, steady(plain))
    ids_of_requests = re.compile(rb"req-[0-9a-f-]+")
    assert ids_of_requests.sub(b"", slashed.body) == ids_of_requests.sub(b"", plain.body)


@pytest.mark.parametrize("path", SERVED)
def test_options_are_those_that_a_wrong_method_is_told(
    live_gateway: LiveGateway, ids: Mapping[str, str], path: str
) -> None:
    options = ask(live_gateway, f"OPTIONS {filled(path, ids)}")
    wrong = ask(live_gateway, f"PROPFIND {filled(path, ids)}")
    # REST answers as freezer-api does.
    assert (options.status, options.body) == (204 if "graphql" in path else 200, b"")
    assert wrong.status == 405
    assert options.headers["allow"] == wrong.headers["allow"]
    assert {"GET", "HEAD", "OPTIONS"} <= set(options.headers["allow"].split(", "))
