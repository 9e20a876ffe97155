"""The words every stage shares: the pad, records and their table schemas, errors, atomic files and settings."""
