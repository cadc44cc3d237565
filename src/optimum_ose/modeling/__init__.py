"""Architecture <-> transformers: axes by probing, dimension map, reconfiguration, initialization."""
