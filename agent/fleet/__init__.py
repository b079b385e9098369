"""The fleet: `jostle ship` writes a history to a Parquet dataset, `jostle fleet` asks it.

Imports `agent.store` and `agent.documents`. pyarrow, DuckDB, Ibis and obstore are imported here alone, where they are
used and never at the top of a module that the daemon or a help text could reach: the daemon must not hold them. Sums
are shipped; it must not ship, or average, a percentile.
"""
