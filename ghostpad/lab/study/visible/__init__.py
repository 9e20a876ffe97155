"""How much of sticks and triggers pictures can tell at all, by oracles that know more."""
