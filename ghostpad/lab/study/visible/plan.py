"""What `ghostpad lab study visible` plays and shows to oracles, as data."""

AROUND, SLOTS = 4, ("forward", "turn")
"""Rows before and after a row that a learned oracle sees (eight gave less: R2 0.73, not 0.79, measured), and the sticks it predicts."""
DOOM_FRAMES, DEFEND_FRAMES = {"novice": 400, "expert": 1000}, 120
"""Frames of an episode at most: 14 of the novice's are the five minutes that an IDM learns from; a novice of doom-defend is dead after
200."""
STEPS_PER_EPISODE, STEPS = 180, 2500
"""A net's optimiser steps: 2500 for five minutes, fewer for less."""
TRIGGER, PLAYERS = "right_trigger", ("expert", "novice")
"""The button whose rows are changed in doom-defend, and who presses it."""
NET = "net, odometry and walls"
"""The learned oracle with the most inputs."""
