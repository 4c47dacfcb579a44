"""`python -m tanken`: the command, where its script is not on the path.

The verbs stand in `tanken.cli.main`.
"""

import sys

from tanken.cli.main import main

sys.exit(main())
