"""Games as gamepad environments, one file a game, with scripted players; `spec.py` says what a game and a player are."""
