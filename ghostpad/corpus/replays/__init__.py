"""Ways in for play by people: replay files, and what other programs record."""
