"""Windows in SQLite: run files, the agent's history, and questions to both.

Imports `agent.documents`. What is read back is what was recorded: it must not judge, and percentiles are never stored.
"""
