"""Puts this folder on the path: the tests here share the case loader and the reference judge."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
