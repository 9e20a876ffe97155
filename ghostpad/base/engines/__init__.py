"""Where work on many items runs: in this process, in a pool of processes, or on a Ray cluster. Engines only place work."""
