import sys
from pathlib import Path

# The planted sources are a benchmark's, which is run from a checkout and is not installed.
sys.path.insert(0, str(Path(__file__).parents[2]))
