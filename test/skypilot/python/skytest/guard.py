"""Waits for the end of its input, then removes all of the environment: processes, hosts, network."""
import os
import signal
import sys
import time
from typing import List

from docker import errors

from skytest import hosts
from skytest.world import world

_GIVE_UP_SECONDS = 60


def processes() -> List[int]:
    """Whatever was started with the variables of this environment, this process apart."""
    mark = f'SKYTEST_WORLD={os.environ["SKYTEST_WORLD"]}'.encode()
    found = []
    for entry in os.listdir('/proc'):
        if not entry.isdigit() or int(entry) == os.getpid():
            continue
        try:
            with open(f'/proc/{entry}/environ', 'rb') as f:
                if mark in f.read().split(b'\0'):
                    found.append(int(entry))
        except OSError:
            continue  # it has ended, or is another user's
    return found


def end_processes() -> None:
    give_up = time.monotonic() + _GIVE_UP_SECONDS
    while left := processes():
        if time.monotonic() > give_up:
            raise TimeoutError(f'processes {left} don\'t end')
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        time.sleep(0.05)


def remove_hosts() -> None:
    for container in hosts.find():
        hosts.remove(hosts.name_of(container))
    try:
        hosts.api().remove_network(world()['network'])
    except errors.NotFound:
        pass


def main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    world()  # read while it is there: the test may remove its directory before this is through
    sys.stdin.buffer.read()
    end_processes()
    remove_hosts()


if __name__ == '__main__':
    main()
