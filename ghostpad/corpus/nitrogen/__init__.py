"""The NitroGen dataset's labels: shards in, rows of a corpus out."""
