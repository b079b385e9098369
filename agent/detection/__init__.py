"""From windows to events: who suffers, since when, and who is suspected."""
