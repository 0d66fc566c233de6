"""`python -m virtual_board`: see `serve.server`."""

import sys

from .serve.server import main

sys.exit(main())
