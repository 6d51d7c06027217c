"""`python -m reid_training`."""

import sys

from reid_training.cli import main

sys.exit(main())
