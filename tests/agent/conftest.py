"""The agent's files import each other as siblings, as on a node."""

import pathlib
import sys

AGENT = pathlib.Path(__file__).parents[2] / "agent"
sys.path.insert(0, str(AGENT))
