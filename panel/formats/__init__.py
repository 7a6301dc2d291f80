"""Date and time formats of the panel, with the 24-hour clock."""
