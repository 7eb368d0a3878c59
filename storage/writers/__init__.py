"""What trackdb writes for other tools."""
