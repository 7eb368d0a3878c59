"""Networks that judge cells and links; all but the settings of a model needs PyTorch, the extra ``models``."""
