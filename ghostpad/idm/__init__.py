"""Stage 2: the inverse dynamics model, which reads the pad between two frames from the frames around them."""
