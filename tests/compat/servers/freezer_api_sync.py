"""Bring databases to revisions of freezer-api's schema: `freezer_api_sync.py URL REVISION…`."""

import sys

import sqlalchemy as sa
from freezer_api.db.sqlalchemy.driver import SQLDriver

for url, revision in zip(sys.argv[1::2], sys.argv[2::2], strict=True):
    SQLDriver("sqlalchemy").db_sync(revision, sa.create_engine(url))
