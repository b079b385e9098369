"""How much slower than real hardware the machine under the tests is: 1, unless an emulated guest says otherwise.

Amounts of work are divided by it, and the patience of those who wait is multiplied. What is measured is not: windows
stay as long as they are, and tolerances as narrow.
"""

import os

SLOWNESS = float(os.environ.get("JOSTLE_TEST_SLOWNESS", "1"))
