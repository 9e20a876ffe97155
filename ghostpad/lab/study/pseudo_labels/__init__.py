"""What an IDM's pseudo-labels are worth to an agent."""
