"""What `ghostpad lab study visible` plays and lets oracles see, as data."""

AROUND, SLOTS = 4, ("forward", "turn")
"""Rows before and after a row that a learned oracle sees (eight gave less, 0.73 for 0.79, measured), and the sticks it tells."""
DOOM_FRAMES, DEFEND_FRAMES = {"novice": 400, "expert": 1000}, 120
"""The longest an episode is watched: 14 of the novice's are the five minutes that an IDM learns from; a novice of doom-defend is dead
after 200."""
STEPS_PER_EPISODE, STEPS = 180, 2500
"""A net's optimiser steps: as many as five minutes need, and fewer for less."""
TRIGGER, PLAYERS = "right_trigger", ("expert", "novice")
"""The button whose rows are asked about in doom-defend, and who presses it."""
NET = "net, odometry and walls"
"""The learned oracle that knows most."""
