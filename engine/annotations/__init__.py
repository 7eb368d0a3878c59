"""What people decide about cells and links: answers, and what they pin."""
