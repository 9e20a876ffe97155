"""Pictures and pages: the drawn pad, clips, plots, the report and the evaluation pages, the still picture."""
