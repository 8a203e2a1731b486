"""GraphiQL, and the examples of the documentation."""
