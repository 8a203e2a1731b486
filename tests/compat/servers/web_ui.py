"""freezer-web-ui's module `api`, driven as Horizon's views drive it, for the other side of a pipe.

The first line that is read tells who signs in, each other one what to call; each is answered by a
line. Everything is JSON: `{"call": "Job.list", "with": [[…], {…}]}` is answered by `{"value": …}`,
or by `{"error": …}` with the traceback.
"""

import json
import sys
import traceback
from typing import Any

import django
from django.http import HttpRequest
from django.test import RequestFactory

django.setup()

from freezer_ui.api import api  # noqa: E402 - needs Django
from openstack_auth.backend import KeystoneBackend  # noqa: E402

backend = KeystoneBackend()
visits = RequestFactory()


def visit(user: Any = None) -> HttpRequest:
    """Return a request as Horizon's middleware hands it to a view."""
    request = visits.get("/")
    request.session = session
    request.user = user
    return request


def called(name: str, arguments: list[Any], keywords: dict[str, Any]) -> Any:
    """Call a method of one of the classes in `api`, in a request of its own, as a view does."""
    kind, method = name.split(".")
    return getattr(getattr(api, kind)(visit(user)), method)(*arguments, **keywords)


def plain(thing: object) -> dict[str, Any]:
    """Return what a template would see of one of freezer-web-ui's objects."""
    names = {name for name in dir(thing) if not name.startswith("_")}
    return {name: getattr(thing, name) for name in names}


class Session(dict[str, Any]):
    """As much of Django's sessions as signing in needs."""

    def set_expiry(self, seconds: int) -> None:
        """Live until this process ends."""


session = Session()
# What is answered has the standard output for itself.
answers, sys.stdout = sys.stdout, sys.stderr
user = backend.authenticate(visit(), **json.loads(sys.stdin.readline()))
for line in sys.stdin:
    wanted = json.loads(line)
    try:
        answer = {"value": called(wanted["call"], *wanted["with"])}
    except Exception:  # noqa: BLE001 - whatever goes wrong there is what the test wants to know
        answer = {"error": traceback.format_exc()}
    print(json.dumps(answer, default=plain), file=answers, flush=True)
