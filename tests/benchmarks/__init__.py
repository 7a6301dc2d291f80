"""What Sluice costs, as ratios against the physical limit, both measured in one run on the same machine.

`make bench` runs every module here that has a `measure()`; a new benchmark joins by existing.
"""
