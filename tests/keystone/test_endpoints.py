"""Keystone's endpoints of the backup service are changed as the gateway's own user."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any, ClassVar

import pytest

from gateway.auth import endpoints
from gateway.errors import BadInput, Forbidden, Unavailable
from gateway.settings import Settings, load

NEW = "https://gateway.example.org"
PASSWORD = "let me in"  # noqa: S105 - of this Keystone
OLD = "https://freezer-api.example.org:9090"


class Keystone(BaseHTTPRequestHandler):
    """As much of Keystone as the change needs."""

    endpoints: ClassVar[dict[str, dict[str, str]]] = {}
    allows: ClassVar[bool] = True

    @property
    def url(self) -> str:
        """The address of the Identity API."""
        return f"http://127.0.0.1:{self.server.server_address[1]}/v3"

    def do_GET(self) -> None:
        """Answer what there is."""
        path, _, query = self.path.partition("?")
        if path == "/v3/services":
            asked = query == "type=backup" and self.endpoints
            self.answer(200, {"services": [{"id": "s1", "type": "backup"}] if asked else []})
        elif path == "/v3/endpoints":
            region = query.partition("region_id=")[2]
            found = [one for one in self.endpoints.values() if region in {"", one["region_id"]}]
            self.answer(200, {"endpoints": found})
        else:
            link = {"rel": "self", "href": f"{self.url}/"}
            version = {"id": "v3.14", "status": "stable", "links": [link]}
            self.answer(200, {"version": version})

    def do_POST(self) -> None:
        """Log in whoever knows the password."""
        given = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        password = given["auth"]["identity"]["password"]["user"]["password"]
        if password != PASSWORD:
            self.answer(401, {"error": {"message": "no", "code": 401}})
            return
        endpoint = {"id": "e", "interface": "internal", "region_id": "r1", "url": self.url}
        identity = {"type": "identity", "id": "i", "name": "keystone", "endpoints": [endpoint]}
        times = {"expires_at": "2199-01-01T00:00:00.000000Z", "issued_at": "2026-01-01T00:00:00Z"}
        self.answer(201, {"token": {"catalog": [identity], **times}}, {"X-Subject-Token": "t"})

    def do_PATCH(self) -> None:
        """Change an endpoint."""
        given = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not self.allows:
            self.answer(403, {"error": {"message": "You are not authorized", "code": 403}})
            return
        found = self.endpoints[self.path.rpartition("/")[2]]
        found |= given["endpoint"]
        self.answer(200, {"endpoint": found})

    def answer(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        """Send an answer."""
        text = json.dumps(body).encode()
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(text))} | (headers or {})).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *_: object) -> None:  # noqa: A002 - the base class's
        """Say nothing."""


@pytest.fixture
def keystone(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Return the address of a Keystone with two endpoints."""
    made = {
        name: {"id": name, "interface": interface, "region_id": region, "url": url}
        for name, interface, region, url in (
            ("e1", "public", "r1", OLD),
            ("e2", "internal", "r1", NEW),
            ("e3", "public", "r2", OLD),
        )
    }
    monkeypatch.setattr(Keystone, "endpoints", made)
    server = HTTPServer(("127.0.0.1", 0), Keystone)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v3"
    server.shutdown()
    thread.join()
    server.server_close()


def settings(url: str, **given: str) -> Settings:
    login = {"keystone_username": "freezer", "keystone_password": PASSWORD}
    return load(auth="keystone", keystone_auth_url=url, **login | given)


def urls() -> dict[str, str]:
    """Return the address of each endpoint."""
    return {name: one["url"] for name, one in Keystone.endpoints.items()}


def test_all_endpoints_get_the_address(keystone: str) -> None:
    assert list(endpoints.change(settings(keystone), NEW)) == [
        f"the public endpoint e1 is {NEW} now; it was {OLD}",
        f"the internal endpoint e2 is {NEW} already",
        f"the public endpoint e3 is {NEW} now; it was {OLD}",
    ]
    assert set(urls().values()) == {NEW}


def test_only_those_of_the_region(keystone: str) -> None:
    told = list(endpoints.change(settings(keystone, keystone_region_name="r1"), NEW))
    assert len(told) == 2
    assert urls() == {"e1": NEW, "e2": NEW, "e3": OLD}


def test_a_service_that_isnt_there(keystone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Keystone, "endpoints", {})
    (told,) = endpoints.change(settings(keystone), NEW)
    assert "has no service of the type 'backup'" in told


def test_who_may_not_is_told_so(keystone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Keystone, "allows", False)
    with pytest.raises(Forbidden, match=r"change endpoints: Forbidden \(HTTP 403\)"):
        list(endpoints.change(settings(keystone), NEW))
    with pytest.raises(Forbidden):
        list(endpoints.change(settings(keystone, keystone_password=NEW), NEW))
    assert urls()["e1"] == OLD


def test_a_keystone_that_doesnt_answer() -> None:
    with pytest.raises(Unavailable):
        list(endpoints.change(settings("http://127.0.0.1:1"), NEW))
    with pytest.raises(BadInput, match="GATEWAY_AUTH=keystone"):
        endpoints.check(load())
