"""Keystone's endpoints of the backup service, changed as the gateway's own user."""

from collections.abc import Iterator
from typing import Any

from keystoneauth1 import exceptions, loading
from keystoneauth1.adapter import Adapter

from gateway.auth.identity_api import IdentityApi, credentials, unavailable
from gateway.auth.threads import WorkerThreads
from gateway.errors import BadInput, Forbidden
from gateway.settings import Settings

SERVICE = "backup"


def check(settings: Settings) -> None:
    """Check that the settings have a user of Keystone. Raises BadInput."""
    if settings.auth != "keystone":
        raise BadInput("--catalogue needs GATEWAY_AUTH=keystone, and the settings of its user")


def change(settings: Settings, url: str) -> Iterator[str]:
    """Let all endpoints of the service have an address, and yield what has been done. Blocks.

    Those of the settings' region, if they have one. Raises Forbidden where Keystone doesn't let the
    user, Unavailable where it doesn't answer.
    """
    keystone = _keystone(settings)
    try:
        services = keystone.get("/services", params={"type": SERVICE}).json()["services"]
        region = settings.keystone_region_name
        for service in services:
            query = {"service_id": service["id"]} | ({"region_id": region} if region else {})
            for one in keystone.get("/endpoints", params=query).json()["endpoints"]:
                yield _changed(keystone, one, url)
        if not services:
            yield f"Keystone has no service of the type '{SERVICE}': there is no endpoint to change"
    except exceptions.HTTPClientError as error:
        raise Forbidden(
            f"Keystone doesn't let the gateway's user change endpoints: {error.message}"
        ) from None
    except exceptions.ClientException as error:
        raise unavailable(error) from None


def _changed(keystone: Adapter, endpoint: dict[str, Any], url: str) -> str:
    told = f"the {endpoint['interface']} endpoint {endpoint['id']}"
    if endpoint["url"] == url:
        return f"{told} is {url} already"
    keystone.patch(f"/endpoints/{endpoint['id']}", json={"endpoint": {"url": url}})
    return f"{told} is {url} now; it was {endpoint['url']}"


def _keystone(settings: Settings) -> Adapter:
    threads = WorkerThreads()
    plugin, options = credentials(settings)
    loader: Any = loading.get_plugin_loader(plugin)
    login = loader.load_from_options(auth_url=settings.keystone_auth_url, **options)
    return Adapter(
        IdentityApi(settings, "trusts", threads).session,
        auth=login,
        service_type="identity",
        interface=settings.keystone_interface,
        region_name=settings.keystone_region_name or None,
        version="3",
    )
