"""GraphQL: the schema over the resolvers, and its endpoint."""

from collections.abc import Iterable

from gateway.schema.http import GraphQLApp
from gateway.schema.root import Schema, create_schema
from gateway.settings import Settings


def graphql_app(settings: Settings, own_documents: Iterable[str] = ()) -> GraphQLApp:
    """Return the endpoint, an ASGI application that reads `app.state.contexts`.

    `own_documents` are those of the gateway's own pages, which are always trusted. Raises OSError
    and ValueError for a file of trusted documents that can't be used.
    """
    return GraphQLApp(create_schema(), settings, own_documents)


__all__ = ["GraphQLApp", "Schema", "create_schema", "graphql_app"]
