"""`make fuzz`: both dialects under requests that no client would send, against a real panel. Bounded in time, seeded."""
