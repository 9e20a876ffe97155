"""Stage 5, the agent: frames in, a chunk of pads out, learned by flow matching and measured by playing."""
