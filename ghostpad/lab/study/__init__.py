"""Studies: each a folder with its plan, its run, its tables and its page."""
