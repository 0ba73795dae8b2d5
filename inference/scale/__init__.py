"""More than one machine: folders on a Ray cluster, and the HTTP service on Ray Serve. Needs `forewarn[scale]`."""

from __future__ import annotations

import os

# Ray reports its use to its maker unless it is told not to; it looks when a cluster is started. What was asked for
# elsewhere does not count here: nothing may leave a machine on which messages are scored.
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
