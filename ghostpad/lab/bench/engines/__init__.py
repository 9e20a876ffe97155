"""Engines under kills, what they cost, and their memory."""
