"""The commands: one file each, which reads its flags, calls one function and prints the result."""
