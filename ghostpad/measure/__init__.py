"""Predicted rows against true rows, without torch: anybody's tables in, figures out."""
