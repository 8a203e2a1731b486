"""What is derived of series and chains, and kept with the backups."""
