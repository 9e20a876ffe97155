"""Video files: probe without decoding, decode by time stamp, record with exact time stamps, make small copies."""
