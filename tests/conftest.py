"""Settings every test runs under."""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
# Worker processes import the helper modules beside the tests.
here = str(Path(__file__).parent)
os.environ["PYTHONPATH"] = os.pathsep.join([here, *sys.path[:0], os.environ.get("PYTHONPATH", "")])
