"""The daemon's metrics: running totals of its windows, as OpenMetrics, over HTTP. One sink of the daemon."""
