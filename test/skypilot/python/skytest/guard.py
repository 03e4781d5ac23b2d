"""Waits for the end of its input, which names process groups, then removes processes, hosts and network."""
import os
import signal
import sys
import time
from typing import List, Set

from docker import errors

from skytest import hosts
from skytest.world import world

_GIVE_UP_SECONDS = 180


def marked() -> List[int]:
    """Returns the processes with this environment's variables, except this one. SkyPilot's executors are not found: a
    process that sets its title overwrites its variables."""
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


def in_groups(groups: Set[int]) -> List[int]:
    found = []
    for entry in os.listdir('/proc'):
        try:
            if entry.isdigit() and os.getpgid(int(entry)) in groups and not zombie(entry):
                found.append(int(entry))
        except OSError:
            continue
    return found


def zombie(pid: str) -> bool:
    with open(f'/proc/{pid}/stat', encoding='utf-8') as f:
        return f.read().rpartition(')')[2].split()[0] == 'Z'


def end_processes(groups: Set[int]) -> None:
    """Kills these groups, the marked processes, and the groups that a marked process leads."""
    give_up = time.monotonic() + _GIVE_UP_SECONDS
    while True:
        alone = marked()
        groups.update(pid for pid in alone if leads(pid))
        left = set(alone) | set(in_groups(groups))
        if not left:
            return
        if time.monotonic() > give_up:
            raise TimeoutError(f'processes {sorted(left)} don\'t end')
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        time.sleep(0.05)


def leads(pid: int) -> bool:
    try:
        return os.getpgid(pid) == pid
    except ProcessLookupError:
        return False


def remove_hosts() -> None:
    """Removes the hosts and the network. The engine may first have to finish requests of killed processes, and may
    refuse to remove a busy container."""
    give_up = time.monotonic() + _GIVE_UP_SECONDS
    while True:
        try:
            for container in hosts.find():
                hosts.remove(hosts.name_of(container))
            hosts.api().remove_network(world()['network'])
        except errors.NotFound:
            return
        except errors.APIError:
            if time.monotonic() > give_up:
                raise
        time.sleep(0.1)


def main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    world()  # read while it is there: the test may remove its directory before this is through
    end_processes({int(line) for line in sys.stdin})
    remove_hosts()


if __name__ == '__main__':
    main()
