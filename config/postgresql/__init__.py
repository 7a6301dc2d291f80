"""The database backend of production: Django's own for PostgreSQL, with a cheaper look at whether a connection is alive."""
