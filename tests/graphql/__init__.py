"""GraphQL over the catalogue: queries, mutations, filters, connections, plans and limits."""
