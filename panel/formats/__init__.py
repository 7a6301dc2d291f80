"""How the panel writes times: by the 24-hour clock that logs use, too."""
