"""Raw requests to the real server, and what it answers: a table.

After each row, a health check on the same connection shows that nothing of the request or the
answer is left over; or the connection is closed, where the answer says so.
"""

import gzip
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field

import pytest

from tests.support.live import LiveGateway
from tests.support.raw_http import Connection, chunked, raw

JSON = "application/json"
UTF8 = "application/json; charset=utf-8"
NEWER = "application/graphql-response+json; charset=utf-8"
ALLOW = "GET, HEAD, POST, OPTIONS"

QUERY = "query=%7B__typename%7D"
OPERATION = b'{"query": "{ __typename }"}'
TYPENAME = b'{"data":{"__typename":"Query"}}'
CLIENT = b'{"client_id": "raw"}'
CLIENT_ID = b'{"client_id":"raw"}'
BOM = b"\xef\xbb\xbf"
GZIPPED = gzip.compress(OPERATION)
BOMB = gzip.compress(b" " * 50_000_000)
MALFORMED = b"Invalid HTTP request received."

GRAPHQL = f"POST /graphql HTTP/1.1\nHost: localhost\nContent-Type: {JSON}"
CLIENTS = "POST /v2/raw/clients HTTP/1.1\nHost: localhost"
HEALTH = "GET /healthcheck HTTP/1.1\nHost: localhost"
OFFER = "Connection: Upgrade\nUpgrade: {}"
LAST = raw(f"{HEALTH}\nConnection: close")


@dataclass(frozen=True)
class Expected:
    """An expected answer: the headers that are named, and the body whole or a part of it."""

    status: int
    headers: Mapping[str, str | None] = field(default_factory=dict)
    """None: there is no such header."""
    body: bytes | None = None
    has: bytes = b""
    to_head: bool = False
    closes: bool = False


OK = Expected(200, {"content-type": "text/plain; charset=utf-8"}, b"OK")
OK_LAST = Expected(200, body=b"OK", closes=True)
DATA = Expected(200, {"content-type": UTF8}, TYPENAME)
CREATED = Expected(201, {"content-type": JSON}, CLIENT_ID)
CONTINUE = Expected(100, body=b"")
BAD_LINE = Expected(400, {"content-type": "text/plain; charset=utf-8"}, MALFORMED, closes=True)
FORBIDDEN = Expected(403, has=b"is not loopback", closes=True)
TOO_LONG = Expected(413, has=b"longer than 1048576 bytes")
HEAD_TOO_LONG = Expected(431, closes=True)


def wrong_coding(coding: str) -> Expected:
    """Return the answer to a body of an unknown coding."""
    return Expected(415, {"accept-encoding": "gzip"}, has=coding.encode())


def refused(has: str) -> Expected:
    """Return the answer to a body that can't be read."""
    return Expected(400, has=has.encode())


ROWS: dict[str, tuple[bytes, *tuple[Expected, ...]]] = {
    # GraphQL's address
    "a query with a slash": (raw(f"GET /graphql/?{QUERY} HTTP/1.1\nHost: localhost"), DATA),
    "an operation with a slash": (
        raw(GRAPHQL.replace("/graphql", "/graphql/"), OPERATION),
        DATA,
    ),
    "the page with a slash": (
        raw(f"GET /graphql/?{QUERY} HTTP/1.1\nHost: localhost\nAccept: text/html"),
        Expected(
            307,
            {"location": f"../graphql?{QUERY}", "vary": "X-Project-Id, X-Auth-Token, Accept"},
            b"",
        ),
    ),
    "HEAD of a query": (
        raw(f"HEAD /graphql?{QUERY} HTTP/1.1\nHost: localhost\nAccept: {JSON}"),
        Expected(200, {"content-type": UTF8, "content-length": str(len(TYPENAME))}, to_head=True),
    ),
    "HEAD of a query with a slash": (
        raw(f"HEAD /graphql/?{QUERY} HTTP/1.1\nHost: localhost"),
        Expected(200, {"content-length": str(len(TYPENAME))}, to_head=True),
    ),
    "HEAD of a mutation": (
        raw("HEAD /graphql?query=mutation%7B__typename%7D HTTP/1.1\nHost: localhost"),
        Expected(405, {"allow": ALLOW}, to_head=True),
    ),
    "HEAD of nothing": (
        raw("HEAD /graphql HTTP/1.1\nHost: localhost"),
        Expected(400, to_head=True),
    ),
    "GET of a mutation": (
        raw("GET /graphql?query=mutation%7B__typename%7D HTTP/1.1\nHost: localhost"),
        Expected(405, {"allow": ALLOW}, has=b"GET runs queries only"),
    ),
    "OPTIONS of GraphQL": (
        raw("OPTIONS /graphql HTTP/1.1\nHost: localhost"),
        Expected(204, {"allow": ALLOW, "content-type": None}, b""),
    ),
    "OPTIONS of GraphQL with a slash": (
        raw("OPTIONS /graphql/ HTTP/1.1\nHost: localhost"),
        Expected(204, {"allow": ALLOW}, b""),
    ),
    "OPTIONS of a list": (
        raw("OPTIONS /v2/raw/jobs/ HTTP/1.1\nHost: localhost"),
        Expected(200, {"allow": ALLOW}, b""),
    ),
    # Methods
    "a method that HTTP has, GraphQL": (
        raw("PROPFIND /graphql HTTP/1.1\nHost: localhost"),
        Expected(405, {"allow": ALLOW}, has=b"PROPFIND"),
    ),
    "a method that HTTP has, REST": (
        raw("TRACE /v2/raw/jobs HTTP/1.1\nHost: localhost"),
        Expected(405, {"allow": ALLOW}, has=b"TRACE"),
    ),
    "a method that no one has": (raw("BREW /graphql HTTP/1.1\nHost: localhost"), BAD_LINE),
    "a method in lower case": (raw("get /healthcheck HTTP/1.1\nHost: localhost"), BAD_LINE),
    "CONNECT": (raw("CONNECT localhost:80 HTTP/1.1\nHost: localhost:80"), BAD_LINE),
    # Content-Encoding
    "gzip, GraphQL": (raw(f"{GRAPHQL}\nContent-Encoding: gzip", GZIPPED), DATA),
    "gzip, REST": (raw(f"{CLIENTS}\nContent-Encoding: gzip", gzip.compress(CLIENT)), CREATED),
    "gzip in capitals": (raw(f"{GRAPHQL}\nContent-Encoding: GZIP", GZIPPED), DATA),
    "x-gzip": (raw(f"{GRAPHQL}\nContent-Encoding: x-gzip", GZIPPED), DATA),
    "gzip and identity": (raw(f"{GRAPHQL}\nContent-Encoding: identity, gzip", GZIPPED), DATA),
    "gzip in chunks": (
        raw(f"{GRAPHQL}\nContent-Encoding: gzip\nTransfer-Encoding: chunked")
        + chunked(GZIPPED[:3], GZIPPED[3:20], GZIPPED[20:]),
        DATA,
    ),
    "gzip of two members": (
        raw(
            f"{GRAPHQL}\nContent-Encoding: gzip",
            gzip.compress(OPERATION[:9]) + gzip.compress(OPERATION[9:]),
        ),
        DATA,
    ),
    "gzip of a thousand members": (
        raw(f"{GRAPHQL}\nContent-Encoding: gzip", gzip.compress(b" ") * 1000),
        refused("more than 100 members"),
    ),
    "gzip that breaks off": (
        raw(f"{CLIENTS}\nContent-Encoding: gzip", gzip.compress(CLIENT)[:-1]),
        refused("gzip breaks off"),
    ),
    "no gzip": (raw(f"{GRAPHQL}\nContent-Encoding: gzip", OPERATION), refused("not gzip")),
    "gzip with more behind it": (
        raw(f"{GRAPHQL}\nContent-Encoding: gzip", GZIPPED + OPERATION),
        refused("not gzip"),
    ),
    "much from little gzip, GraphQL": (raw(f"{GRAPHQL}\nContent-Encoding: gzip", BOMB), TOO_LONG),
    "much from little gzip, REST": (raw(f"{CLIENTS}\nContent-Encoding: gzip", BOMB), TOO_LONG),
    "gzip of as much as may be": (
        raw(f"{CLIENTS}\nContent-Encoding: gzip", gzip.compress(CLIENT.ljust(2**20))),
        CREATED,
    ),
    "gzip of one byte more": (
        raw(f"{CLIENTS}\nContent-Encoding: gzip", gzip.compress(CLIENT.ljust(2**20 + 1))),
        TOO_LONG,
    ),
    "br": (raw(f"{GRAPHQL}\nContent-Encoding: br", OPERATION), wrong_coding("br")),
    "br, REST": (raw(f"{CLIENTS}\nContent-Encoding: br", CLIENT), wrong_coding("br")),
    "deflate in chunks": (
        raw(f"{CLIENTS}\nContent-Encoding: deflate\nTransfer-Encoding: chunked") + chunked(CLIENT),
        wrong_coding("deflate"),
    ),
    "gzip twice": (raw(f"{GRAPHQL}\nContent-Encoding: gzip, gzip", GZIPPED), wrong_coding("gzip")),
    "two lines of codings": (
        raw(f"{GRAPHQL}\nContent-Encoding: gzip\nContent-Encoding: br", GZIPPED),
        wrong_coding("gzip, br"),
    ),
    "identity": (raw(f"{GRAPHQL}\nContent-Encoding: identity", OPERATION), DATA),
    "no coding": (raw(f"{GRAPHQL}\nContent-Encoding:", OPERATION), DATA),
    "a coding of nothing": (raw(f"{HEALTH}\nContent-Encoding: br"), OK),
    "a coding of an empty body": (raw(f"{HEALTH}\nContent-Encoding: gzip", b""), OK),
    # The text of a body
    "a byte order mark, GraphQL": (raw(GRAPHQL, BOM + OPERATION), DATA),
    "a byte order mark, REST": (raw(CLIENTS, BOM + CLIENT), CREATED),
    "a byte order mark in gzip": (
        raw(f"{GRAPHQL}\nContent-Encoding: gzip", gzip.compress(BOM + OPERATION)),
        DATA,
    ),
    "a byte order mark before a slow text": (
        # One that the fast reader leaves to the other one.
        raw(GRAPHQL, BOM + rb'{"query": "{ __typename }", "variables": {"x": "\u00e9"}}'),
        DATA,
    ),
    "a byte order mark before a document": (
        raw(GRAPHQL, b'{"query": "' + BOM + b'{ __typename }"}'),
        DATA,
    ),
    "a byte order mark before a parameter": (
        raw("GET /v2/raw/jobs?search=%EF%BB%BF%7B%7D HTTP/1.1\nHost: localhost"),
        Expected(200, body=b'{"jobs":[]}'),
    ),
    "a byte order mark before variables": (
        raw(f"GET /graphql?{QUERY}&variables=%EF%BB%BF%7B%7D HTTP/1.1\nHost: localhost"),
        DATA,
    ),
    "two byte order marks": (
        raw(GRAPHQL, BOM + BOM + OPERATION),
        refused("Expecting value at line 1, column 1"),
    ),
    "UTF-16": (raw(CLIENTS, CLIENT.decode().encode("utf-16")), refused("not UTF-8")),
    # Content-Type
    "a charset": (raw(f"{GRAPHQL}; charset=utf-8", OPERATION), DATA),
    "a charset in capitals and quotes": (raw(f'{GRAPHQL} ; Charset="UTF-8"', OPERATION), DATA),
    "a media type in capitals": (raw(GRAPHQL.replace("json", "JSON"), OPERATION), DATA),
    "no media type": (
        raw("POST /graphql HTTP/1.1\nHost: localhost", OPERATION),
        Expected(415, has=b"must be application/json, not ''"),
    ),
    "a media type of forms": (
        raw(GRAPHQL.replace("application/json", "text/plain"), OPERATION),
        Expected(415, has=b"text/plain"),
    ),
    "a media type that begins alike": (
        raw(GRAPHQL.replace("json", "json-patch"), OPERATION),
        Expected(415, has=b"application/json-patch"),
    ),
    "any media type, REST": (raw(f"{CLIENTS}\nContent-Type: text/plain", CLIENT), CREATED),
    "the newer media type": (
        raw(f"{GRAPHQL}\nAccept: application/graphql-response+json", OPERATION),
        Expected(200, {"content-type": NEWER}, TYPENAME),
    ),
    # The length of a body
    "chunks": (raw(f"{GRAPHQL}\nTransfer-Encoding: chunked") + chunked(OPERATION), DATA),
    "chunks of a byte": (
        raw(f"{CLIENTS}\nTransfer-Encoding: chunked")
        + chunked(*(bytes([byte]) for byte in CLIENT)),
        CREATED,
    ),
    "chunks with extensions and a trailer": (
        # The trailer would be refused as a header.
        raw(f"{GRAPHQL}\nTransfer-Encoding: chunked")
        + b"%x;a=b\r\n%b\r\n0\r\nX-Project-Id: %b\r\n\r\n" % (len(OPERATION), OPERATION, b"\xff"),
        DATA,
    ),
    "chunks without a length": (
        raw(f"{GRAPHQL}\nTransfer-Encoding: chunked") + b"xyz\r\n",
        BAD_LINE,
    ),
    "too many chunks": (
        raw(f"{GRAPHQL}\nTransfer-Encoding: chunked") + chunked(*[b" " * 2**19] * 3),
        TOO_LONG,
    ),
    "chunks and a length": (raw(f"{GRAPHQL}\nTransfer-Encoding: chunked", OPERATION), BAD_LINE),
    "two lengths": (raw(f"{GRAPHQL}\nContent-Length: 1", OPERATION), BAD_LINE),
    "a length that is no number": (raw(f"{GRAPHQL}\nContent-Length: +3") + b"abc", BAD_LINE),
    "a length beyond 64 bits": (raw(f"{GRAPHQL}\nContent-Length: {'9' * 30}"), BAD_LINE),
    "a body of a GET": (raw(HEALTH, b"abc"), OK),
    "no body": (raw(GRAPHQL, b""), refused("not JSON")),
    # Expect
    "a body that waits": (
        raw(f"{GRAPHQL}\nExpect: 100-continue", OPERATION),
        CONTINUE,
        DATA,
    ),
    "a body that waits, REST": (
        raw(f"{CLIENTS}\nExpect: 100-Continue", CLIENT),
        CONTINUE,
        CREATED,
    ),
    "a body that waits in vain": (
        raw(f"{GRAPHQL}\nExpect: 100-continue\nContent-Length: 2000000") + b" " * 2000000,
        TOO_LONG,
    ),
    # Versions and hosts
    "HTTP/1.0": (
        raw(f"GET /graphql?{QUERY} HTTP/1.0\nHost: localhost"),
        Expected(200, body=TYPENAME, closes=True),
    ),
    "HTTP/1.0 that would stay": (
        raw("GET /healthcheck HTTP/1.0\nHost: localhost\nConnection: keep-alive"),
        OK_LAST,
    ),
    "a health check without Host": (raw("GET /healthcheck HTTP/1.0"), OK_LAST),
    "a health check with a slash, without Host": (raw("GET /healthcheck/ HTTP/1.0"), OK_LAST),
    "HEAD of a health check without Host": (
        raw("HEAD /healthcheck HTTP/1.0"),
        Expected(200, {"content-length": "2"}, to_head=True, closes=True),
    ),
    "a health check of a foreign page": (
        raw("GET /healthcheck HTTP/1.0\nHost: example.org"),
        FORBIDDEN,
    ),
    "the versions without Host": (raw("GET / HTTP/1.0"), FORBIDDEN),
    "GraphQL without Host": (raw(f"GET /graphql?{QUERY} HTTP/1.0"), FORBIDDEN),
    "REST without Host": (raw("GET /v2/raw/jobs HTTP/1.0"), FORBIDDEN),
    "HTTP/1.2": (raw("GET /healthcheck HTTP/1.2\nHost: localhost"), BAD_LINE),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", BAD_LINE),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", BAD_LINE),
    # Targets
    "an absolute target": (
        raw("GET http://localhost/healthcheck HTTP/1.1\nHost: localhost"),
        OK,
    ),
    "an absolute target with a query": (
        raw(f"GET http://localhost:9090/graphql?{QUERY} HTTP/1.1\nHost: localhost:9090"),
        DATA,
    ),
    "an absolute target of another host": (
        raw("GET http://evil.example/v2/raw/jobs HTTP/1.1\nHost: localhost"),
        Expected(403, has=b"'evil.example' is not loopback"),
    ),
    "an absolute target of this host, and another Host": (
        raw("GET http://localhost/v2/raw/jobs HTTP/1.1\nHost: evil.example"),
        Expected(200, {"content-type": JSON}, b'{"jobs":[]}'),
    ),
    "an absolute target with a user": (
        raw("GET http://localhost@evil.example/v2/raw/jobs HTTP/1.1\nHost: localhost"),
        Expected(403, has=b"'evil.example' is not loopback"),
    ),
    "an absolute target and two Hosts": (
        raw("GET http://localhost/v2/raw/jobs HTTP/1.1\nHost: localhost\nHost: localhost"),
        Expected(400, has=b"is not one host"),
    ),
    "the address of an absolute target": (
        raw("GET http://localhost:1234/ HTTP/1.1\nHost: 127.0.0.1"),
        Expected(300, has=b'"http://localhost:1234/v2/"'),
    ),
    "the created item's address with an absolute target": (
        raw(CLIENTS.replace(" /", " http://[::1]:5/").replace("localhost", "evil.example"), CLIENT),
        Expected(201, {"location": "http://[::1]:5/v2/raw/clients/raw"}, CLIENT_ID),
    ),
    "every method of no path": (
        raw("OPTIONS * HTTP/1.1\nHost: localhost"),
        Expected(404, has=b"'*'"),
    ),
    # Hosts
    "two Hosts": (
        raw("GET /v2/raw/jobs HTTP/1.1\nHost: evil.example\nHost: 127.0.0.1"),
        Expected(400, {"content-type": JSON}, has=b"'evil.example, 127.0.0.1'"),
    ),
    "two Hosts the other way": (
        raw("GET / HTTP/1.1\nHost: 127.0.0.1\nHost: evil.example"),
        Expected(400, has=b"is not one host"),
    ),
    "two equal Hosts": (
        raw(f"GET /graphql?{QUERY} HTTP/1.1\nHost: localhost\nhOST: localhost"),
        Expected(400, {"content-type": JSON}, has=b"BAD_USER_INPUT"),
    ),
    "two Hosts in one": (
        raw("GET /v2/raw/jobs HTTP/1.1\nHost: 127.0.0.1, evil.example"),
        Expected(400, has=b"is not one host"),
    ),
    "a Host with a path": (
        raw("GET / HTTP/1.1\nHost: localhost/x"),
        Expected(400, has=b"is not one host"),
    ),
    "slashes and one too many": (
        raw("GET /v2//raw/jobs// HTTP/1.1\nHost: localhost"),
        Expected(200, {"content-type": JSON}, b'{"jobs":[]}'),
    ),
    "a path that isn't UTF-8": (
        raw("GET /v2/%ff/jobs HTTP/1.1\nHost: localhost"),
        refused("is not a project id"),
    ),
    "a NUL in a path": (
        raw("GET /v2/%00/jobs HTTP/1.1\nHost: localhost"),
        refused(r"'\\x00' is not a project id"),
    ),
    "a byte in a path that must be encoded": (b"GET /v2/\xff/jobs HTTP/1.1\r\n\r\n", BAD_LINE),
    "nothing there": (
        raw("GET /nowhere HTTP/1.1\nHost: localhost"),
        Expected(404, {"content-type": JSON}, has=b"/nowhere"),
    ),
    # Offers of other protocols
    "HTTP/2, offered with a GET": (
        raw(f"{HEALTH}\n{OFFER.format('h2c')}"),
        OK,
    ),
    "HTTP/2, offered with a POST": (raw(f"{GRAPHQL}\n{OFFER.format('h2c')}", OPERATION), DATA),
    "HTTP/2, offered with chunks": (
        raw(f"{CLIENTS}\n{OFFER.format('h2c')}\nTransfer-Encoding: chunked") + chunked(CLIENT),
        CREATED,
    ),
    "HTTP/2, offered again and again": (
        raw(f"{HEALTH}\n{OFFER.format('h2c')}") * 2
        + raw(f"{GRAPHQL}\n{OFFER.format('h2c')}", OPERATION) * 2,
        *(OK, OK, DATA, DATA),
    ),
    "a body that would be a request after the offer": (
        raw(f"{GRAPHQL}\n{OFFER.format('h2c')}", raw(HEALTH)),
        refused("not JSON"),
    ),
    "WebSockets": (raw(f"{HEALTH}\n{OFFER.format('websocket')}"), OK),
    # Headers
    "an empty line before": (b"\r\n" + raw(HEALTH), OK),
    "a NUL in a header": (raw(f"{HEALTH}\nX-A: a\0"), BAD_LINE),
    "a header in two lines": (raw(f"{HEALTH}\nX-A: a\n b"), BAD_LINE),
    "a blank before a colon": (raw(f"{HEALTH}\nX-A : a"), BAD_LINE),
    "a long header": (raw(f"{HEALTH}\nX-A: {'a' * 60_000}"), OK),
    "bytes in a header": (
        raw("GET /v2/raw/jobs HTTP/1.1\nHost: localhost\nX-Project-Id: é"),
        refused("is not a project id"),
    ),
    "a header without an end": (
        b"GET /healthcheck HTTP/1.1\r\nX-A: " + b"a" * 70_000,
        HEAD_TOO_LONG,
    ),
    "an address without an end": (b"GET /" + b"a" * 70_000, HEAD_TOO_LONG),
    # One after the other
    "pipelining": (
        raw(HEALTH)
        + raw(GRAPHQL, OPERATION)
        + raw(f"HEAD /graphql?{QUERY} HTTP/1.1\nHost: localhost")
        + raw(f"{CLIENTS}\nTransfer-Encoding: chunked")
        + chunked(CLIENT)
        + raw("DELETE /graphql HTTP/1.1\nHost: localhost"),
        OK,
        DATA,
        Expected(200, {"content-length": str(len(TYPENAME))}, to_head=True),
        CREATED,
        Expected(405, {"allow": ALLOW}),
    ),
    "a request behind the last one": (LAST + raw(HEALTH), OK_LAST),
}


def checked(connection: Connection, expected: Expected) -> None:
    """Read an answer, and compare it with the expected one."""
    answer = connection.read(to_head=expected.to_head)
    assert (answer.status, answer.body) == (
        expected.status,
        answer.body if expected.body is None else expected.body,
    )
    assert expected.has in answer.body
    for name, value in expected.headers.items():
        assert answer.headers.get(name) == value, name
    assert (answer.headers.get("connection") == "close") == expected.closes


@pytest.mark.parametrize("name", ROWS)
def test_a_request_is_answered(live_gateway: LiveGateway, name: str) -> None:
    request, *answers = ROWS[name]
    with Connection(live_gateway.url) as connection:
        connection.send(request)
        for expected in answers:
            checked(connection, expected)
        if not answers[-1].closes:
            connection.send(LAST)
            checked(connection, OK_LAST)
        assert connection.is_closed()


SHORT = [
    name
    for name, (request, *answers) in ROWS.items()
    if len(request) < 1000 and not answers[-1].closes
]


@pytest.mark.parametrize("name", SHORT)
def test_it_makes_no_difference_how_it_arrives(live_gateway: LiveGateway, name: str) -> None:
    request, *answers = ROWS[name]
    with Connection(live_gateway.url) as connection:
        connection.send_singly(request)
        for expected in answers:
            checked(connection, expected)
        connection.send_singly(LAST)
        checked(connection, OK_LAST)
        assert connection.is_closed()


@pytest.mark.parametrize("behind", [b"1\r\na\r\n0\r\nX-A: ", b"1\r\na\r\n1;a="])
def test_what_stands_behind_a_body_has_an_end(live_gateway: LiveGateway, behind: bytes) -> None:
    with Connection(live_gateway.url) as connection:
        connection.send(raw(f"{GRAPHQL}\nTransfer-Encoding: chunked") + behind)
        # More than the server reads at once, with the beginning or without it.
        with suppress(ConnectionError):
            connection.send(b"a" * 400_000)
        assert connection.is_closed()
