"""The live table: one window's rows, the last minute, and what the person at the keyboard wants to see of it."""
