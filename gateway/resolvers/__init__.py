"""The service layer: one module per entity, called by both surfaces.

Each module has one entity: `COLLECTION` reads it, `create`, `replace`, `update` and `delete` write
it. Every function authorizes first and raises Forbidden, reads only the columns that it is asked
for, writes in one transaction, and raises Unavailable if the database doesn't answer.
"""
