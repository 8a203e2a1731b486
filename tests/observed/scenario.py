"""How the cases are run one after the other, and how an answer is judged."""

import json
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any

import httpx

from .case import Absent, Answer, Case, Variables, filled, mismatch

Outcome = tuple[httpx.Response | Exception, Variables]
"""The answer to a case, and the variables as they stood then."""

SILENT = {"HEAD", "OPTIONS"}


def content(case: Case, variables: Variables) -> bytes:
    """Return the body to send."""
    if case.raw or isinstance(case.body, Absent):
        return case.raw
    body = filled(case.body, variables)
    if case.pad:
        body |= {"padding": "x" * case.pad}
    return json.dumps(body, ensure_ascii=False).encode()


async def pieces(whole: bytes) -> AsyncIterator[bytes]:
    """Yield the body in two pieces, so that it has no Content-Length."""
    middle = len(whole) // 2
    yield whole[:middle]
    yield whole[middle:]


async def send(
    client: httpx.AsyncClient, case: Case, variables: Variables, tokens: Mapping[str, str]
) -> httpx.Response:
    """Send the case's request."""
    method, target = filled(case.request, variables).split(" ", 1)
    body = content(case, variables)
    headers = dict(case.headers)
    if case.caller in tokens:
        headers["X-Auth-Token"] = tokens[case.caller]
    # The address is given whole: httpx would take "//v2" for a host.
    address = str(client.base_url).rstrip("/") + target
    sent = pieces(body) if case.chunked else body
    return await client.request(method, address, content=sent, headers=headers)


async def run(
    client: httpx.AsyncClient,
    cases: Iterable[Case],
    variables: Variables,
    tokens: Mapping[str, str],
) -> dict[str, Outcome]:
    """Run the cases in order and return what came of each, by its name."""
    outcomes: dict[str, Outcome] = {}
    known = {"BASE": str(client.base_url).rstrip("/")} | variables
    for case in cases:
        try:
            response = await send(client, case, known, tokens)
        except Exception as error:  # noqa: BLE001 - the test of this very case reports it
            outcomes[case.name] = (error, known)
            continue
        known = known | saved(case, response)
        outcomes[case.name] = (response, known)
    return outcomes


def saved(case: Case, response: httpx.Response) -> Variables:
    """Return the variables that the answer gives; without the right answer there are none."""
    if not case.save or not response.is_success:
        return {}
    body = response.json()
    return {variable: str(body[key]) for variable, key in case.save.items() if key in body}


def judge(answer: Answer, outcome: Outcome) -> None:
    """Assert that the outcome is the right answer."""
    response, variables = outcome
    if isinstance(response, Exception):
        raise response
    told = f"{response.status_code} {response.text[:1000]}"
    assert response.status_code == answer.status, told
    assert response.headers.get("X-Openstack-Request-Id"), "no request id"
    method = response.request.method
    if method == "HEAD" or answer.status == httpx.codes.NO_CONTENT:
        assert response.content == b""
    elif answer.status >= httpx.codes.BAD_REQUEST:
        judge_error(filled(list(answer.names), variables), response)
    else:
        judge_body(answer, response, variables)
    if answer.status == httpx.codes.METHOD_NOT_ALLOWED:
        assert response.headers["Allow"]
    if answer.allow:
        allowed = {name.strip() for name in response.headers["Allow"].split(",")}
        assert allowed - SILENT == set(answer.allow.split(", ")) - SILENT
    if answer.location:
        assert response.headers["Location"].endswith(filled(answer.location, variables))


def judge_error(names: list[str], response: httpx.Response) -> None:
    """Assert that the body is an error that mentions the names."""
    assert response.headers["Content-Type"].startswith("application/json"), response.text
    body = response.json()
    assert set(body) == {"title", "description"}, body
    assert all(isinstance(body[key], str) and body[key] for key in body), body
    said = f"{body['title']} {body['description']}"
    for name in names:
        assert name in said, f"{said!r} does not mention {name!r}"
    if response.status_code == httpx.codes.UNAUTHORIZED:
        assert response.headers["WWW-Authenticate"].startswith('Keystone uri="')


def judge_body(answer: Answer, response: httpx.Response, variables: Variables) -> None:
    """Assert that the body is as the answer says."""
    if answer.media_type:
        assert response.headers["Content-Type"].split(";")[0] == answer.media_type
    if answer.text:
        assert response.text.strip() == answer.text
    if not isinstance(answer.has, Absent):
        assert not (found := mismatch(filled(answer.has, variables), response.json())), found
    if answer.rows is not None:
        assert len(listed(response)) == answer.rows
    if answer.hosts is not None:
        shown = [row["backup_metadata"]["hostname"] for row in listed(response)]
        assert shown == list(answer.hosts)
    if answer.includes is not None:
        expected = filled(dict(answer.includes), variables)
        found_all = [mismatch(expected, row) for row in listed(response)]
        assert "" in found_all, found_all


def listed(response: httpx.Response) -> list[dict[str, Any]]:
    """Return the entries of a list answer."""
    (rows,) = response.json().values()
    assert isinstance(rows, list)
    return rows
