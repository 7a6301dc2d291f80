"""Demo data: invented tenants. Addresses are those of RFC 5737, and names end in RFC 2606's `.example`."""
