"""What networks learn from, and how they learn it; only the learning itself needs PyTorch, the extra ``models``."""
