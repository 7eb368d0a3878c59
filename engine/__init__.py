"""The method: measure, link, score, cost, solve, label, evaluate."""
