"""Demo data: a living platform of invented tenants. Addresses are RFC 5737's and names are under RFC 2606's `.example`."""
