"""The daemon that systemd runs: one window after the other, to everything that wants it."""
