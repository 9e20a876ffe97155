"""Whether the pad can be read beside the masks that hide drawn controllers."""
