"""GraphQL: the schema over the resolvers, and its endpoint."""

from gateway.schema.http import GraphQLApp
from gateway.schema.root import Schema, create_schema
from gateway.settings import Settings


def graphql_app(settings: Settings) -> GraphQLApp:
    """Return the endpoint, an ASGI application that reads `app.state.contexts`."""
    return GraphQLApp(create_schema(), settings)


__all__ = ["GraphQLApp", "Schema", "create_schema", "graphql_app"]
