"""How much of sticks and triggers pictures can show at all, by oracles that know more."""
