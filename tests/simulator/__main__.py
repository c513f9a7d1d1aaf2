"""`python -m tests.simulator [seed …]`: play the courses of events of these seeds, and tell what happened."""

import sys

from tests.simulator.world import World

for seed in map(int, sys.argv[1:]):
    world = World(seed)
    try:
        world.run()
    finally:
        sys.stdout.write("\n".join(world.trace) + f"\nseed {seed}: {world.digest}\n")
