"""Overrides of Django's British formats, which use the 12-hour clock (“1:37 p.m.”)."""

DATETIME_FORMAT = "j M Y, H:i"
TIME_FORMAT = "H:i"
