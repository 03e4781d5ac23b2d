"""The part of cloud-init that SkyPilot's user data needs, for hosts that have none: users, files, commands."""
import shlex
from typing import Any, Dict, Tuple

import yaml

File = Tuple[int, str]  # mode, content

FIRST_BOOT = '/usr/local/sbin/first-boot'

_UNIT = """\
[Unit]
Description=Commands of the user data
After=multi-user.target
ConditionPathExists=!/var/lib/cloud/done

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh /var/lib/cloud/commands
ExecStartPost=/usr/bin/touch /var/lib/cloud/done
"""

_USER = """\
if ! id {user} >/dev/null 2>&1; then
    useradd --create-home --shell /bin/bash --password '*' {user}
    install -d -m 0700 -o {user} -g {user} /home/{user}/.ssh
    cp /var/lib/cloud/keys-{user} /home/{user}/.ssh/authorized_keys
    chown {user}: /home/{user}/.ssh/authorized_keys
    chmod 0600 /home/{user}/.ssh/authorized_keys
    echo '{user} ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/{user}
    chmod 0440 /etc/sudoers.d/{user}
    echo 'AllowUsers {user}' >/etc/ssh/sshd_config.d/90-{user}.conf
fi
"""

# As on a cloud, the host key is unknown before the machine has created it.
_BOOT = """\
#!/bin/sh
{users}
[ -e /etc/ssh/ssh_host_key ] || ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/ssh_host_key
ln -sf /etc/systemd/system/user-data.service /etc/systemd/system/multi-user.target.wants/user-data.service
exec /usr/local/sbin/host-init
"""


# cloud-init's helper for commands of bootcmd, which runs at every boot; only the part that is used.
_PER = """\
#!/bin/sh
[ "$1" = once ] || exit 2
mark=/var/lib/cloud/once-$2
shift 2
[ -e "$mark" ] || { "$@" && touch "$mark"; }
"""


def parse(user_data: str) -> Dict[str, Any]:
    if not user_data.startswith('#cloud-config'):
        raise ValueError(f'user data that is no cloud-config isn\'t understood here: {user_data[:40]!r}')
    return yaml.safe_load(user_data) or {}


def for_user(user: str, public_key: str) -> Dict[str, Any]:
    return {'users': [{'name': user, 'ssh_authorized_keys': [public_key]}]}


def files(config: Dict[str, Any]) -> Dict[str, File]:
    """Returns the files that a host needs before its first boot."""
    found: Dict[str, File] = {}
    users = []
    for user in config.get('users', []):
        if user == 'default':
            continue
        users.append(_USER.format(user=shlex.quote(user['name'])))
        keys = '\n'.join(k.strip() for k in user.get('ssh_authorized_keys', []))
        found[f'/var/lib/cloud/keys-{user["name"]}'] = (0o600, keys + '\n')
    for entry in config.get('write_files', []):
        mode = int(str(entry.get('permissions', '0644')), 8)
        found[entry['path']] = (mode, entry.get('content', ''))
    found['/var/lib/cloud/commands'] = (0o600, ''.join(map(_command, config.get('bootcmd', []) + config.get('runcmd', []))))
    found['/usr/local/bin/cloud-init-per'] = (0o755, _PER)
    found['/etc/systemd/system/user-data.service'] = (0o644, _UNIT)
    found[FIRST_BOOT] = (0o755, _BOOT.format(users=''.join(users)))
    return found


def _command(command: Any) -> str:
    if isinstance(command, list):
        command = shlex.join(map(str, command))
    return f'{command}\n'
