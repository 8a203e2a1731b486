"""Rows about searching backups, among the seventeen of `backup_lists`."""

from typing import Unpack

from .backup_lists import ALL_HOSTS
from .case import Case, Expected, case

J1 = ("h1", "h4", "h7", "h10", "h13")
NOT_J1 = tuple(host for host in ALL_HOSTS if host not in J1)
NO_5XX = "§4: the value works, or 400 naming it"


def search(  # noqa: PLR0913, PLR0917 - the columns of a row
    name: str,
    body: object,
    query: str = "limit=100",
    observed: int = 200,
    status: int = 0,
    why: str = "",
    **expected: Unpack[Expected],
) -> Case:
    """Return a row that searches."""
    request = f"GET /v2/<PA>/backups?{query}" if query else "GET /v2/<PA>/backups"
    return case(name, request, observed, status, why, body=body, **expected)


def refused(name: str, body: object) -> Case:
    """Return a row whose search freezer-api 19 answers 500."""
    return search(name, body, "limit=100", 500, 400, NO_5XX)


MATCHES: tuple[Case, ...] = (
    search("search match nested key", {"match": [{"hostname": "h5"}]}, hosts=("h5",)),
    search(
        "search match _all json list",
        {"match": [{"_all": '[{"hostname": "h5"}]'}]},
        hosts=("h5",),
    ),
    search(
        "search match _all text",
        {"match": [{"_all": "h5"}]},
        "limit=100",
        200,
        200,
        "§4: a free text is searched for",
        hosts=("h5", "h50"),
    ),
    search(
        "search match _all json obj",
        {"match": [{"_all": '{"hostname": "h5"}'}]},
        "limit=100",
        200,
        200,
        "§2: text that is no JSON list is a free text",
        rows=0,
    ),
    search("search match job_id", {"match": [{"job_id": "j1"}]}, hosts=J1),
    search(
        "search match two (AND)",
        {"match": [{"job_id": "j2"}, {"hostname": "h5"}]},
        hosts=("h5",),
    ),
    search(
        "search match one dict two keys",
        {"match": [{"job_id": "j1", "hostname": "h5"}]},
        rows=0,
    ),
    search(
        "search match same key twice",
        {"match": [{"hostname": "h5"}, {"hostname": "h6"}]},
        rows=0,
    ),
    search("search match_not", {"match_not": [{"job_id": "j1"}]}, hosts=NOT_J1),
    search(
        "search match + match_not",
        {"match": [{"job_id": "j2"}], "match_not": [{"hostname": "h5"}]},
        hosts=("h2", "h8", "h11", "h14"),
    ),
    search("search match unknown key", {"match": [{"nokey": 1}]}, rows=0),
    search("search match unknown key null", {"match": [{"nokey": None}]}, rows=17),
    search("search match int", {"match": [{"time_stamp": 1700000005}]}, hosts=("h5",)),
    search("search match int as string", {"match": [{"time_stamp": "1700000005"}]}, rows=0),
    search("search match case differs", {"match": [{"hostname": "H5"}]}, rows=0),
    search("search match prefix", {"match": [{"hostname": "h"}]}, rows=0),
    search("search match status column", {"match": [{"status": "available"}]}, rows=17),
    search("search match backup_id", {"match": [{"backup_id": "<b0>"}]}, hosts=("h0",)),
    search("search match list value", {"match": [{"hostname": ["h5"]}]}, rows=0),
)

SHAPES: tuple[Case, ...] = (
    refused("search match is dict", {"match": {"hostname": "h5"}}),
    refused("search match is str", {"match": "h5"}),
    refused("search match of strs", {"match": ["h5"]}),
    search("search empty match", {"match": []}, rows=17),
    search("search empty obj", {}, rows=17),
    refused("search body list", [1]),
    refused("search body str", "x"),
    search("search body null", None, rows=17),
    case(
        "search invalid json",
        "GET /v2/<PA>/backups?limit=100",
        753,
        400,
        "§4: malformed JSON is 400",
        raw=b'{"match"',
    ),
    search(
        "search time_before",
        {"time_before": 1700000005},
        "limit=100",
        200,
        200,
        "§2: time_before compares time_stamp, exclusively",
        hosts=ALL_HOSTS[:5],
    ),
    search(
        "search match_all",
        {"match_all": [{"_all": "x"}]},
        "limit=100",
        200,
        400,
        "§2: an unknown search key is 400",
        names=("match_all",),
    ),
    search("search match empty dict", {"match": [{}]}, rows=17),
    search("search limit 2", {"match": [{"job_id": "j1"}]}, "limit=2", hosts=J1[:2]),
    search(
        "search limit 2 offset 2",
        {"match": [{"job_id": "j1"}]},
        "limit=2&offset=2",
        hosts=J1[2:4],
    ),
    search(
        "search limit -1",
        {"match": [{"job_id": "j1"}]},
        "limit=-1",
        200,
        400,
        "§3: a limit below 1 is 400",
        names=("limit", "-1"),
    ),
    search(
        "search default limit",
        {"match_not": [{"job_id": "jX"}]},
        "",
        200,
        200,
        "§3: the default page size is 100, not 10",
        rows=17,
    ),
    case(
        "search chunked body (no content-length)",
        "GET /v2/<PA>/backups?limit=100",
        200,
        200,
        "§2: a search in the body counts, however it is sent",
        body={"match": [{"hostname": "h5"}]},
        chunked=True,
        hosts=("h5",),
    ),
)

BACKUP_SEARCHES = MATCHES + SHAPES
