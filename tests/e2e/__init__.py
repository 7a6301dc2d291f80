"""Sluice as a person meets it: a real browser against a running server. `make e2e` runs it."""
