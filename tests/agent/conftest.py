"""Where the agent's files are."""

import pathlib

AGENT = pathlib.Path(__file__).parents[2] / "agent"
