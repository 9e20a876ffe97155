"""What things cost on this machine, beside a plain way to do the same."""
