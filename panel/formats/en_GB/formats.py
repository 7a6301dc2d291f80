"""What differs from Django's British formats, which say “1:37 p.m.”."""

DATETIME_FORMAT = "j M Y, H:i"
TIME_FORMAT = "H:i"
