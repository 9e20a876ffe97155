"""Made-up data with known truth, for tests and benchmarks: videos, NitroGen shards, checkpoints of random weights."""
