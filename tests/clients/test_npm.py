"""What web developers use: Relay, graphql-codegen, Apollo Client, urql, graphql-ws, graphql-sse.

The scripts in `npm/src` assert what they see; here they are compiled and run.
"""

import pytest

from .conftest import HERE, Run


@pytest.fixture(scope="module")
def relay(npm: Run) -> str:
    """Compile the documents of `npm/src/relay` against schema.graphql."""
    return npm("relay-compiler", "relay.config.json")


@pytest.fixture(scope="module")
def codegen(npm: Run) -> str:
    """Generate types for dashboard.graphql, by introspection of the running gateway."""
    return npm("graphql-codegen", "--config", "codegen.json")


@pytest.fixture(scope="module")
def built(npm: Run, relay: str, codegen: str) -> Run:
    """Check the types of every script, with what was generated, and make them programs."""
    del relay, codegen
    npm("tsc")
    return npm


def test_relay_compiles_the_dashboard(relay: str) -> None:
    assert "Compilation completed" in relay


def test_codegen_types_the_dashboard(codegen: str) -> None:
    assert "Generate outputs" in codegen


@pytest.mark.parametrize("client", ["typed", "apollo", "urql", "relay"])
def test_the_client_works(built: Run, client: str) -> None:
    built(f"built/{client}.js")


@pytest.mark.parametrize("client", ["sse", "ws", "apollo", "urql", "relay"])
def test_the_client_follows_what_others_change(built: Run, client: str) -> None:
    built(f"built/live-{client}.js")


def test_every_audit_of_graphql_over_http_is_ok(npm: Run) -> None:
    assert "61 audits are ok" in npm("audits.mjs")


def test_the_lock_file_names_no_addresses() -> None:
    assert "resolved" not in (HERE / "npm" / "package-lock.json").read_text()
