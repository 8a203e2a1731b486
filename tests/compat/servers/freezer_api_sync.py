"""Bring a database to a revision of freezer-api's schema: `freezer_api_sync.py URL REVISION`."""

import sys

import sqlalchemy as sa
from freezer_api.db.sqlalchemy.driver import SQLDriver

url, revision = sys.argv[1:]
SQLDriver("sqlalchemy").db_sync(revision, sa.create_engine(url))
