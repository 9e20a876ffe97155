"""The laboratory: studies, benchmarks and made-up data. It may import everything; nothing imports it. `ghostpad lab` starts it."""
