"""Through PgBouncer, in transaction mode: `make test-pgbouncer`."""
