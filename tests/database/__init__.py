"""The database: migrations, pools, statements, outages and the sample data."""
