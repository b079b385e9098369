"""Windows in SQLite: what the run file and the agent's history have in common."""
