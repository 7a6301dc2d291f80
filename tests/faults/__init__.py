"""Breaking what a running Sluice stands on, and looking at what it answers meanwhile and what is there afterwards."""
