"""The database: its connections, statements, transactions and rows."""
