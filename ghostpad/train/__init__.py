"""One loop that trains every model: optimiser and schedule, EMA, checkpoints, exact resume."""
