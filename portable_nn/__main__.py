"""`python -m portable_nn`, the command without its script."""

import sys

from portable_nn.cli import main

sys.exit(main())
