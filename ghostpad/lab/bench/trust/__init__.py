"""What a corpus survives: kills, two machines, outages, lost outputs, full disks, damage, broken footage."""
