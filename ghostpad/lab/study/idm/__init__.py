"""The IDM against its targets, baselines and parts of itself."""
