"""The database backend for PostgreSQL: Django's own, with a cheaper check whether a connection is alive."""
