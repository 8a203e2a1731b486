"""Alembic's environment: runs migrations on the given connection, in its transaction."""

from alembic import context
from sqlmodel import SQLModel

import gateway.catalogue.tables  # noqa: F401 - declares the tables
from gateway.migrations import online

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=SQLModel.metadata,
    # SQLite can't alter most columns: Alembic copies the table instead.
    render_as_batch=True,
    existing_tables=online.existing_tables(connection),
)
context.run_migrations()
