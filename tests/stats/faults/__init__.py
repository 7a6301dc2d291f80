"""Killing processes that ingest and fold, and the database under them, and counting afterwards what is there."""
