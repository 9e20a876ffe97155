"""Blocks that know no game and no pad: transformer, frame encoders, motion, flow matching."""
