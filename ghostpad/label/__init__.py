"""Stage 3: an IDM over a corpus, one video at a time, to label rows."""
