"""Stage 4: which rows of an IDM to believe. One file a filter; verdicts are written beside the labels and nothing is deleted."""
