"""What an association transformer learns from: windows of labelled movies, as arrays."""
