"""REST v2 over the resolvers: routes, bodies, documents, errors."""
