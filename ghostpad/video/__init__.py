"""Video files: probe without decoding, decode by time stamp, record with exact time stamps, and small proxies for random access."""
