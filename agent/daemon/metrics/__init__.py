"""The daemon's metrics: running totals of its windows, as OpenMetrics, over HTTP. One sink of the daemon.

prometheus_client's own package imports its HTTP, WSGI and ASGI servers, and these OpenSSL: 6 MB of the agent's 40, for
what `server` does. So its other modules are imported below an empty package of that name.
"""

import sys
from importlib.util import find_spec, module_from_spec

if "prometheus_client" not in sys.modules and (_found := find_spec("prometheus_client")) is not None:
    sys.modules[_found.name] = module_from_spec(_found)
