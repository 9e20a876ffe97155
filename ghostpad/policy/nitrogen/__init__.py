"""NitroGen's released policy: its checkpoint read, written and sampled like the reference."""
