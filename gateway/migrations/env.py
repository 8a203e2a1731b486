"""How Alembic runs a migration: on the connection, and in the transaction, that it is given."""

from alembic import context
from sqlmodel import SQLModel

import gateway.catalogue.tables  # noqa: F401 - declares the tables

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=SQLModel.metadata,
    # SQLite alters a table by making it anew.
    render_as_batch=True,
)
context.run_migrations()
