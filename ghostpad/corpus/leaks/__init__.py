"""Whether the pad can be read beside the masks of drawn controllers."""
