"""What trained networks say of a split, and what that comes to."""
