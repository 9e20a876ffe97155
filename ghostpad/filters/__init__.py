"""Stage 3: which pseudo-labels to keep. One file a filter; verdicts are written to files of their own and nothing is deleted."""
