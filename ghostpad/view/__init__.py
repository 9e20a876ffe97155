"""What came of it, for people: the drawn pad, clips, plots, the report page and the still picture."""
