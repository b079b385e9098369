"""From windows to events: who suffers, since when, and who is suspected.

Imports `agent.documents` and `agent.store` (a stored baseline). Pure but for that: it must not send, store or print.
"""
