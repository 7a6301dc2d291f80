"""Load at saturation for some minutes on the loopback: `make soak`."""
