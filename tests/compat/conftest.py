"""What the tests with other programs stand on: a Keystone, and authenticators that ask it."""

from collections.abc import Callable, Iterator

import pytest

from gateway.auth.keystone import KeystoneAuthenticator
from gateway.settings import Settings, load

from .keystone import PASSWORD, Keystone, running

MakeAuthenticator = Callable[..., KeystoneAuthenticator]


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Return the only event loop that the gateway runs on."""
    return "asyncio"


@pytest.fixture(scope="session")
def keystone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keystone]:
    """Return a Keystone with its projects and users, and a service `backup` in its catalogue."""
    with running(tmp_path_factory.mktemp("keystone")) as keystone:
        keystone.register("http://127.0.0.1:9090")
        yield keystone


def keystone_settings(keystone: Keystone, **given: object) -> Settings:
    """Return the settings of a gateway that trusts this Keystone."""
    usual = {
        "auth": "keystone",
        "keystone_auth_url": keystone.auth_url,
        "keystone_username": "gateway",
        "keystone_password": PASSWORD,
    }
    return load(**usual | given)


@pytest.fixture(scope="session")
def make_authenticator(keystone: Keystone) -> MakeAuthenticator:
    """Return a function that makes an authenticator with other settings than the usual ones."""
    return lambda **given: KeystoneAuthenticator(keystone_settings(keystone, **given))


@pytest.fixture
def authenticator(make_authenticator: MakeAuthenticator) -> KeystoneAuthenticator:
    """Return an authenticator that has seen no token yet."""
    return make_authenticator()
