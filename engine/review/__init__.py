"""Which questions are worth asking, and what answers to them change."""
