"""The catalogue by either of its surfaces, in one vocabulary: that of the v2 documents."""

from collections.abc import Mapping
from typing import Any, Protocol

import httpx

from gateway.errors import Code

Document = dict[str, Any]

PROJECT = "p1"
HEADERS = {"X-Project-Id": PROJECT}
CODES = {
    400: Code.BAD_USER_INPUT,
    404: Code.NOT_FOUND,
    409: Code.CONFLICT,
    412: Code.CONFLICT,
    422: Code.UNPROCESSABLE,
}


class RefusedError(Exception):
    """The gateway refused; `args` are the code and the message."""

    def __init__(self, code: Code, message: str) -> None:
        """Take what the surface said."""
        super().__init__(code, message)
        self.code, self.message = code, message


class Surface(Protocol):
    """What can be done by both surfaces; each raises RefusedError."""

    async def create(self, kind: str, document: Document) -> str:
        """Create an item of a v2 document; return its id."""

    async def update(
        self, kind: str, item_id: str, patch: Document, version: int | None = None
    ) -> None:
        """Change an item; null removes a key."""

    async def delete(self, kind: str, item_id: str) -> None:
        """Delete an item."""

    async def request(self, job_id: str, event: str) -> bool:
        """Ask a job's scheduler for something; False if that is asked already."""

    async def show(self, kind: str, item_id: str) -> Document:
        """Return the facts of an item, as a v2 document has them."""

    async def list(self, kind: str) -> list[str]:
        """Return the ids of a kind, in the surface's own order."""


def _facts(kind: str, document: Mapping[str, Any]) -> Document:
    """What of a v2 document both surfaces show."""
    if kind == "backup":
        keys = {"backup_id", "backup_metadata", "status", "job_id", "client_id", "user_id"}
    elif kind == "job":
        keys = {"job_id", "description", "client_id", "job_schedule", "job_actions", "user_id"}
    elif kind == "action":
        keys = {"action_id", "freezer_action", "max_retries", "max_retries_interval", "mandatory"}
    else:
        return dict(document["client"])
    return {key: document.get(key) for key in keys}


class Rest:
    """REST v2."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        """Take a client of the application."""
        self._client = client

    async def _ask(self, method: str, *path: str, **given: Any) -> Any:
        url = "/".join(["", "v2", PROJECT, *path])
        response = await self._client.request(method, url, **given)
        if response.is_error:
            raise RefusedError(CODES[response.status_code], response.json()["description"])
        return response.json() if response.content else None

    async def create(self, kind: str, document: Document) -> str:
        """See Surface."""
        made = await self._ask("POST", f"{kind}s", json=document)
        return str(made[f"{kind}_id"])

    async def update(
        self, kind: str, item_id: str, patch: Document, version: int | None = None
    ) -> None:
        """See Surface."""
        headers = {} if version is None else {"If-Match": f'"{version}"'}
        await self._ask("PATCH", f"{kind}s", item_id, json=patch, headers=headers)

    async def delete(self, kind: str, item_id: str) -> None:
        """See Surface."""
        await self._ask("DELETE", f"{kind}s", item_id)

    async def request(self, job_id: str, event: str) -> bool:
        """See Surface."""
        answer = await self._ask("POST", "jobs", job_id, "event", json={event: None})
        return bool(answer["result"] == "success")

    async def show(self, kind: str, item_id: str) -> Document:
        """See Surface."""
        document = await self._ask("GET", f"{kind}s", item_id)
        if kind == "job":
            document["job_actions"] = [_facts("action", each) for each in document["job_actions"]]
        return _facts(kind, document)

    async def list(self, kind: str) -> list[str]:
        """See Surface."""
        found = (await self._ask("GET", f"{kind}s"))[f"{kind}s"]
        entries = [entry["client"] for entry in found] if kind == "client" else found
        return [entry[f"{kind}_id"] for entry in entries]


_ACTION = "action_id: actionId freezer_action: freezerAction max_retries: maxRetries"
_ACTION += " max_retries_interval: maxRetriesInterval mandatory"
_SELECTIONS = {
    "action": _ACTION,
    "backup": """backup_id: backupId backup_metadata: metadata status job_id: jobId
        client_id: clientId user_id: userId""",
    "client": """client_id: clientId hostname description uuid is_central: isCentral
        supported_actions: supportedActions supported_modes: supportedModes
        supported_storages: supportedStorages supported_engines: supportedEngines""",
    "job": f"""job_id: jobId description client_id: clientId job_schedule: scheduleDocument
        user_id: userId job_actions: actions {{ nodes {{ {_ACTION} }} }}""",
}


class GraphQL:
    """GraphQL."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        """Take a client of the application."""
        self._client = client

    async def _ask(self, query: str, **variables: Any) -> Any:
        sent = {"query": query, "variables": variables}
        response = await self._client.post("/graphql", json=sent, headers=HEADERS)
        body = response.json()
        for error in body.get("errors", ()):
            raise RefusedError(Code(error["extensions"]["code"]), error["message"])
        return body["data"]

    async def _id(self, kind: str, item_id: str) -> str:
        query = f"query($id: ID!) {{ it: {kind}({kind}Id: $id) {{ id }} }}"
        found = (await self._ask(query, id=item_id))["it"]
        if found is None:
            raise RefusedError(Code.NOT_FOUND, "null")
        return str(found["id"])

    async def create(self, kind: str, document: Document) -> str:
        """See Surface."""
        name = {"job": "createJob", "action": "createAction"}.get(kind, f"register{kind.title()}")
        type_ = {"job": "CreateJobInput", "action": "ActionInput"}.get(
            kind, f"Register{kind.title()}Input"
        )
        if kind == "backup":
            status = document.pop("status", "available")
            document = {"metadata": document, "status": status.upper()}
        text = f"mutation($i: {type_}!) {{ it: {name}(input: $i) {{ {kind} {{ {kind}Id }} }} }}"
        made = await self._ask(text, i=_input(document))
        return str(made["it"][kind][f"{kind}Id"])

    async def update(
        self, kind: str, item_id: str, patch: Document, version: int | None = None
    ) -> None:
        """See Surface."""
        type_, name = f"Update{kind.title()}Input", f"update{kind.title()}"
        text = f"mutation($i: {type_}!) {{ {name}(input: $i) {{ {kind} {{ id }} }} }}"
        given = {"id": await self._id(kind, item_id), "expectedVersion": version}
        await self._ask(text, i=_input(patch) | given)

    async def delete(self, kind: str, item_id: str) -> None:
        """See Surface."""
        text = f"mutation($i: DeleteInput!) {{ delete{kind.title()}(input: $i) {{ deletedId }} }}"
        await self._ask(text, i={"id": await self._id(kind, item_id)})

    async def request(self, job_id: str, event: str) -> bool:
        """See Surface."""
        text = f"mutation($i: JobEventInput!) {{ it: {event}Job(input: $i) {{ requested }} }}"
        answer = await self._ask(text, i={"id": await self._id("job", job_id)})
        return bool(answer["it"]["requested"])

    async def show(self, kind: str, item_id: str) -> Document:
        """See Surface."""
        query = f"query($id: ID!) {{ it: {kind}({kind}Id: $id) {{ {_SELECTIONS[kind]} }} }}"
        found = (await self._ask(query, id=item_id))["it"]
        if found is None:
            raise RefusedError(Code.NOT_FOUND, "null")
        if kind == "job":
            found["job_actions"] = found["job_actions"]["nodes"]
        if kind == "backup":
            found["status"] = found["status"].lower()
        return _facts(kind, {"client": found} if kind == "client" else found)

    async def list(self, kind: str) -> list[str]:
        """See Surface."""
        found = await self._ask(f"{{ it: {kind}s {{ nodes {{ id: {kind}Id }} }} }}")
        return [node["id"] for node in found["it"]["nodes"]]


def _input(document: Document) -> Document:
    """Say in GraphQL what a v2 document says."""
    renamed: Document = {}
    for key, value in document.items():
        if key == "job_schedule":
            renamed["schedule"] = schedule_input(value)
        elif key == "job_actions":
            renamed["actions"] = [_input(action) for action in value]
        elif key == "status":
            renamed[key] = value.upper()
        elif key == "backup_metadata":
            renamed["metadata"] = value
        else:
            renamed[_camel(key)] = value
    return renamed


def schedule_input(schedule: Document) -> Document:
    """Say in GraphQL what the schedule of a v2 document says; an empty word is null."""
    return {
        _camel(part.removeprefix("schedule_")): (word.upper() or None)
        if part in {"status", "event", "result"} and word is not None
        else word
        for part, word in schedule.items()
    }


def _camel(key: str) -> str:
    head, *tail = key.split("_")
    return head + "".join(part.title() for part in tail)
