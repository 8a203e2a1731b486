"""One tenant after another's items, by every route of REST.

Each attack is made twice: where Alice has items, and where she has none. Bob must be told the same
in both, byte for byte, so he learns nothing of them, not even which ids there are.
"""

import json

import pytest

from gateway.rest_compat.routes import ROUTES
from tests.support.databases import Server
from tests.support.rest_requests import WRITES, Request, bodies, requests
from tests.support.tenants import (
    ALICE,
    BOB,
    PROJECTS,
    SECRET,
    assert_apart,
    world,
)

pytestmark = pytest.mark.anyio

routes = pytest.mark.parametrize(
    ("path", "method"),
    [(path, method) for path, method, *_ in ROUTES],
    ids=[f"{method} {path}" for path, method, *_ in ROUTES],
)


def test_every_route_has_its_bodies() -> None:
    written = {f"{method} {path}" for path, method, *_ in ROUTES if method in WRITES}
    assert written == set(bodies(ALICE))


@routes
async def test_what_is_anothers(path: str, method: str, server: Server, template: str) -> None:
    own, other = PROJECTS[BOB], PROJECTS[ALICE]
    attacks = [
        *(
            Request(one.method, one.path, one.body, headers={"X-Project-Id": other})
            for one in requests(path, method, own, ALICE)
            if not one.query
        ),
        # What is Bob's own comes last, for it may be gone afterwards.
        *requests(path, method, own, ALICE, BOB),
    ]
    async with world(server, template, ALICE, BOB) as alices, world(server, template, BOB) as empty:
        before = await alices.held(ALICE)
        for request in requests(path, method, other, ALICE, BOB):
            status, text = await request.send(alices, BOB)
            assert status == 403, request
            assert (status, text) == await request.send(empty, BOB)
        for request in attacks:
            answer = await request.send(alices, BOB)
            assert SECRET not in answer[1].replace(json.dumps(request.query), ""), request
            assert answer == await request.send(empty, BOB), request
        await assert_apart(alices, before)


@routes
async def test_what_is_ones_own(path: str, method: str, server: Server, template: str) -> None:
    async with world(server, template, ALICE) as alices:
        first = next(requests(path, method, PROJECTS[ALICE], ALICE))
        status, text = await first.send(alices, ALICE)
    # The same request is no attack where the items are one's own: it could do harm.
    assert status < 300, text
    assert method != "GET" or SECRET in text
