"""Games as gamepad environments with scripted players, one file a game; `spec.py` defines what a game and a player are."""
