"""Alembic's environment: runs migrations on the given connection, in its transaction."""

from alembic import context
from sqlmodel import SQLModel

import gateway.catalogue.tables  # noqa: F401 - declares the tables

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=SQLModel.metadata,
    # SQLite can't alter most columns: Alembic copies the table instead. It can't copy those that
    # triggers refer to, as jobs: a migration drops the triggers before, and creates them again.
    render_as_batch=True,
    postponed=context.config.attributes["postponed"],
)
context.run_migrations()
