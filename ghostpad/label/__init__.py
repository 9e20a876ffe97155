"""Stage 2: an IDM over a corpus, one video at a time, to label rows."""
