"""Faults that a test injects into a cloud: one file each in a directory that every process re-reads."""
import fnmatch
import json
import os
import time
from typing import Any, Dict, Optional

from skytest.world import world

_LOOK_AGAIN = 0.05

# The fields that select requests; an empty field matches all.
_MATCH = ('cloud', 'operation', 'region', 'zone', 'instance_type', 'cluster')


class Refused(Exception):
    """The cloud's error in place of carrying out the request."""

    def __init__(self, code: str, message: str, status: int):
        super().__init__(f'{code}: {message}')
        self.code, self.message, self.status = code, message, status


def _matches(fault: Dict[str, Any], request: Dict[str, Optional[str]]) -> bool:
    return all(not fault.get(k) or fnmatch.fnmatchcase(request.get(k) or '', fault[k]) for k in _MATCH)


def _take(path: str, times: int) -> bool:
    """Counts one use of a fault, safely across processes. Returns False once it is used up."""
    n = 0
    while not times or n < times:
        try:
            os.close(os.open(f'{path}.used.{n}', os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            return True
        except FileExistsError:
            n += 1
    return False


def meet(after: bool, **request: Optional[str]) -> None:
    """Hangs or raises Refused if a fault affects this request, before or after the cloud has carried it out."""
    directory = world()['faults']
    for entry in sorted(os.listdir(directory)):
        path = os.path.join(directory, entry)
        if not entry.endswith('.json'):
            continue
        try:
            with open(path, encoding='utf-8') as f:
                fault = json.load(f)
        except FileNotFoundError:
            continue  # it was taken back
        if bool(fault.get('after')) != after or not _matches(fault, request) or not _take(path, fault.get('times', 0)):
            continue
        while fault.get('hang') and os.path.exists(path):
            time.sleep(_LOOK_AGAIN)
        if fault.get('code'):
            raise Refused(fault['code'], fault.get('message', ''), fault.get('status') or 400)
