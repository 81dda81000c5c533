"""Nothing of it is reached."""
