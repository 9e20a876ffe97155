"""Stage 2: pseudo-labels, an IDM's rows for every video of a corpus."""
