"""How well a tracking agrees with another: the truth, or a second opinion."""
