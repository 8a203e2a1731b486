"""A program that writes to a gateway over REST or GraphQL, and tells what became of each write.

    python -m tests.restarts.writer SURFACE HOST:PORT NAME

It reads commands from standard input: `go PROJECT` and `pause`. It uses the standard library only,
so that it starts at once, and repeats nothing: a write whose answer is lost stays unknown.
"""

import http.client
import json
import select
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from tests.restarts.episodes import STEPS

RETRY_SECONDS = 0.05
TIMEOUT = 60

Body = Mapping[str, Any] | None


class Unknown(Exception):
    """The answer was lost, or says that the database's was: the write may have happened."""


class Refused(Exception):
    """Nothing listens, so the write has not happened."""


class Unread(Exception):
    """The write has happened, and only its item couldn't be read back."""


class Connection:
    """A kept connection to the gateway."""

    def __init__(self, address: str) -> None:
        """Take the address; nothing is sent yet."""
        self._http = http.client.HTTPConnection(address, timeout=TIMEOUT)

    def ask(self, method: str, path: str, body: Body, **headers: str) -> Any:
        """Return the decoded answer. Raises Unknown and Refused."""
        if self._http.sock is None:
            try:
                self._http.connect()
            except ConnectionError:
                raise Refused from None
        try:
            sent = None if body is None else json.dumps(body)
            headers |= {"Content-Type": "application/json"}
            self._http.request(method, path, sent, headers)
            response = self._http.getresponse()
            text = response.read()
        except (OSError, http.client.HTTPException) as error:
            self._http.close()
            raise Unknown(repr(error)) from error
        if response.status == http.HTTPStatus.SERVICE_UNAVAILABLE:
            raise Unknown(text.decode())
        answer = json.loads(text) if text else {}
        if response.status >= http.HTTPStatus.BAD_REQUEST:
            raise AssertionError(f"{method} {path}: {response.status} {text.decode()}")
        return answer


class Rest:
    """The writes of an episode over REST v2; `ids` remembers what the gateway named."""

    def __init__(self, connection: Connection, project: str) -> None:
        """Write to this project."""
        self._connection, self._project = connection, project
        self.ids: dict[str, str] = {}

    def _ask(self, method: str, path: str, body: Body = None) -> Any:
        return self._connection.ask(method, f"/v2/{self._project}{path}", body)

    def create_job(self, name: str) -> None:
        """Create the job and its two actions."""
        actions = [{"freezer_action": action} for action in actions_of(name)]
        body = {"job_id": name, "description": name, "job_actions": actions}
        self._ask("POST", "/jobs", body)

    def update_job(self, name: str) -> None:
        """Rename the job."""
        self._ask("PATCH", f"/jobs/{name}", {"description": f"{name} changed"})

    def create_session(self, name: str) -> None:
        """Create the session."""
        made = self._ask("POST", "/sessions", {"description": name, "schedule": {}})
        self.ids["session"] = made["session_id"]

    def add_to_session(self, name: str) -> None:
        """Add the job to the session."""
        self._ask("PUT", f"/sessions/{self.ids['session']}/jobs/{name}")

    def start_session(self, name: str) -> None:
        """Begin a run."""
        self._act({"start": {"job_id": name, "current_tag": 0}})

    def end_session(self, name: str) -> None:
        """End the run."""
        self._act({"end": {"job_id": name, "result": "success"}})

    def _act(self, action: Body) -> None:
        self._ask("POST", f"/sessions/{self.ids['session']}/action", action)

    def register_backup(self, name: str) -> None:
        """Register the job's backup."""
        self._ask("POST", "/backups", backup_of(name))

    def delete_job(self, name: str) -> None:
        """Delete the job."""
        self._ask("DELETE", f"/jobs/{name}")


class GraphQL:
    """The same writes over GraphQL."""

    def __init__(self, connection: Connection, project: str) -> None:
        """Write to this project."""
        self._connection, self._project = connection, project
        self.ids: dict[str, str] = {}

    def _ask(self, mutation: str, input_type: str, shown: str, **given: Any) -> Any:
        query = f"mutation($input: {input_type}!) {{ {mutation}(input: $input) {{ {shown} }} }}"
        body = {"query": query, "variables": {"input": given}}
        answer = self._connection.ask("POST", "/graphql", body, **{"X-Project-Id": self._project})
        for error in answer.get("errors", ()):
            if error["extensions"]["code"] == "UNAVAILABLE":
                raise Unknown(str(error))
            if error["extensions"]["code"] == "NOT_READ_BACK":
                raise Unread(str(error))
            raise AssertionError(f"{mutation}: {error}")
        return answer["data"][mutation]

    def create_job(self, name: str) -> None:
        """Create the job and its two actions."""
        actions = [{"freezerAction": action} for action in actions_of(name)]
        given = {"jobId": name, "description": name, "actions": actions}
        made = self._ask("createJob", "CreateJobInput", "job { id }", **given)
        self.ids["job"] = made["job"]["id"]

    def update_job(self, name: str) -> None:
        """Rename the job."""
        given = {"id": self.ids["job"], "description": f"{name} changed"}
        self._ask("updateJob", "UpdateJobInput", "job { id }", **given)

    def create_session(self, name: str) -> None:
        """Create the session."""
        given = {"description": name, "schedule": {}}
        made = self._ask("createSession", "CreateSessionInput", "session { id }", **given)
        self.ids["session"] = made["session"]["id"]

    def add_to_session(self, _name: str) -> None:
        """Add the job to the session."""
        self._act("addJobToSession", "SessionJobInput", "session { id }")

    def start_session(self, _name: str) -> None:
        """Begin a run."""
        self._act("startSession", "StartSessionInput", "sessionTag", currentTag=0)

    def end_session(self, _name: str) -> None:
        """End the run."""
        self._act("endSession", "EndSessionInput", "sessionTag", result="SUCCESS")

    def _act(self, mutation: str, input_type: str, shown: str, **given: Any) -> None:
        both = {"id": self.ids["session"], "jobId": self.ids["job"]}
        self._ask(mutation, input_type, shown, **both, **given)

    def register_backup(self, name: str) -> None:
        """Register the job's backup."""
        given = {"metadata": backup_of(name)}
        self._ask("registerBackup", "RegisterBackupInput", "backup { id }", **given)

    def delete_job(self, _name: str) -> None:
        """Delete the job."""
        self._ask("deleteJob", "DeleteInput", "deletedId", id=self.ids["job"])


def actions_of(name: str) -> list[dict[str, str]]:
    """Return the definitions of the actions of an episode's job."""
    return [{"action": "backup", "backup_name": f"{name}-a{number}"} for number in range(2)]


def backup_of(name: str) -> dict[str, str]:
    """Return the metadata of an episode's backup."""
    return {"backup_name": name, "container": "c", "hostname": "h", "job_id": name}


def tell(**fact: str) -> None:
    """Write a line that the test reads at once."""
    print(json.dumps(fact), flush=True)  # noqa: T201 - this is its output


def command(*, wait: bool) -> str:
    """Return the next command if there is one; nothing at the end of the input."""
    if wait or select.select([sys.stdin], [], [], 0)[0]:
        return sys.stdin.readline().strip() or "end"
    return ""


def attempt(write: Callable[[str], None], episode: str) -> tuple[str, str | None]:
    """Run a write until something listens; return its outcome, and what went wrong with it."""
    while True:
        try:
            write(episode)
        except Refused:
            time.sleep(RETRY_SECONDS)
            if select.select([sys.stdin], [], [], 0)[0]:
                return "refused", None
        except Unknown as error:
            return "unknown", str(error)
        except Unread as error:
            return "acknowledged", str(error)
        else:
            return "acknowledged", None


def main(surface: str, address: str, name: str) -> None:
    """Write one episode after the other, until the input ends."""
    kind = {"rest": Rest, "graphql": GraphQL}[surface]
    connection = Connection(address)
    project, number, order = "", 0, command(wait=True)
    while order != "end":
        if order == "pause":
            tell(said="paused")
            order = command(wait=True)
            continue
        if order.startswith("go "):
            project = order.removeprefix("go ")
        number += 1
        episode = f"{name}-{number}"
        writer = kind(connection, project)
        for step in STEPS:
            outcome, reason = attempt(getattr(writer, step), episode)
            fact = {"project": project, "episode": episode, "step": step, "outcome": outcome}
            tell(**fact, **({"reason": reason} if reason else {}))
            order = command(wait=False)
            if outcome != "acknowledged" or reason or order:
                break
        if outcome == "unknown":
            time.sleep(RETRY_SECONDS)


if __name__ == "__main__":
    main(*sys.argv[1:])
