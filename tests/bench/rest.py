"""R1 to R7 as REST v2 has them, and how its answers are read."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .catalogue import Catalogue, Values
from .workload import (
    PAGE,
    POLL_PAGE,
    Item,
    Request,
    deep,
    item,
    polls,
    searched,
    single,
)

KEYS = tuple(f"R{number}" for number in range(1, 8))


@dataclass(frozen=True)
class Rest:
    """A program's REST v2: the project that is read, and the one that jobs are posted to.

    Each has its headers. The deep page is found by marker, or by offset where there is no other
    way.
    """

    catalogue: Catalogue
    written: Catalogue
    headers: Mapping[str, str]
    written_headers: Mapping[str, str]
    by_marker: bool = True

    def requests(self, key: str) -> Sequence[Request]:
        """Return the requests to be sent in turn."""
        catalogue, method, body, headers = self.catalogue, "GET", b"", self.headers
        base = f"/v2/{catalogue.project_id}"
        match key:
            case "R1":
                paths = [f"{base}/backups?limit={PAGE}"]
            case "R2":
                paths = [f"{base}/jobs?limit={PAGE}"]
            case "R3":
                paths = [f"{base}/backups?limit={PAGE}&{self._after(deep(catalogue))}"]
            case "R4":
                pages = (
                    f"limit={POLL_PAGE}&offset={n * POLL_PAGE}" for n in range(polls(catalogue))
                )
                paths = [f"{base}/jobs/?{page}" for page in pages]
                match_not, match_ = {"status": "completed"}, {"client_id": catalogue.poller}
                body = json.dumps({"match_not": [match_not], "match": [match_]}).encode()
            case "R5":
                paths = [f"{base}/backups?limit={PAGE}"]
                job = catalogue.identifier("job", searched(catalogue))
                body = json.dumps({"match": [{"job_id": job}]}).encode()
            case "R6":
                paths, method = [f"/v2/{self.written.project_id}/jobs"], "POST"
                body, headers = json.dumps(_new_job(self.written)).encode(), self.written_headers
            case "R7":
                paths = [f"{base}/backups/{catalogue.identifier('backup', single(catalogue))}"]
            case _:
                raise KeyError(key)
        return [Request(path, body, method, headers) for path in paths]

    def _after(self, number: int) -> str:
        if self.by_marker:
            return f"marker={self.catalogue.identifier('backup', number)}"
        return f"offset={number + 1}"


def _new_job(catalogue: Catalogue) -> Values:
    actions = [catalogue.action(0, position) for position in range(2)]
    for action in actions:
        del action["id"]
    return {
        "description": "zz-posted",
        "client_id": catalogue.poller,
        "job_schedule": {"schedule_interval": "1 days", "status": "scheduled"},
        "job_actions": actions,
    }


def read(answer: bytes) -> Sequence[Item]:
    """Return the items of an answer: of a list, the one item, or none for what was written."""
    document = json.loads(answer)
    for name in ("backups", "jobs"):
        if name in document:
            return [item(each) for each in document[name]]
    if "backup_metadata" in document:
        return [item(document)]
    assert document["job_id"], document
    return []
