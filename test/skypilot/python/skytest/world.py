"""The environment's settings for its processes: the file that SKYTEST_WORLD names."""
import functools
import json
import os
from typing import Any, Dict


@functools.lru_cache(maxsize=None)
def world() -> Dict[str, Any]:
    with open(os.environ['SKYTEST_WORLD'], encoding='utf-8') as f:
        return json.load(f)
