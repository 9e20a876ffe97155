"""Predicted rows against true rows, without torch: anybody's tables in, figures out."""

from ghostpad.measure.scores import score

__all__ = ["score"]
