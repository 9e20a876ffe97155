"""Download the footage that labels were made for: whole videos or the labelled stretches."""
