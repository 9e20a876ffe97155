"""What a controller drawn into the footage does to an IDM, with its mask and without."""
