"""Docker hosts as the machines of a cloud: created, found, stopped and removed by the cloud's names."""
import io
import tarfile
from typing import Any, Dict, List, Optional

import docker
from docker import errors

from skytest import cloudinit
from skytest.world import world

# Labels of every host. When the environment ends, it removes the remaining hosts by the first label.
LABEL_ENV = 'skyctl-test-env'
LABEL_CLOUD = 'skyctl-test-cloud'
LABEL_REGION = 'skyctl-test-region'
LABEL_TYPE = 'skyctl-test-type'
LABEL_CLUSTER = 'skyctl-test-cluster'

# Directories outside the container's layers: overlay does not stack on overlay, and etcd needs a disk.
_VOLUMES = ('/var/lib/rancher', '/var/lib/kubelet', '/var/lib/containerd')

_STOP_SECONDS = 20

# The file with the accelerators that a host simulates, for the offline kit's stand-ins for NVIDIA's software.
_GPUS = '/etc/skyctl-test/gpus'
_DRIVER = '580.126.20'

_NVIDIA_SMI = """\
#!/bin/sh
# Stands in for NVIDIA's: it shows what the host plays.
read -r count name driver <%s || exit 9
[ "$count" -gt 0 ] || { echo 'No devices were found'; exit 6; }
for i in $(seq 0 $((count - 1))); do
    case $* in
    *driver_version*) echo "$driver" ;;
    -L) echo "GPU $i: $name (UUID: GPU-$(hostname)-$i)" ;;
    esac
done
""" % _GPUS


def api() -> docker.APIClient:
    return docker.APIClient(version='auto', timeout=120)


def _host_config(cpus: float, memory_gib: float) -> Dict[str, Any]:
    """Returns the configuration of skyctl's own hosts, for engines with and without privileged containers."""
    memory = int(memory_gib * 1024) << 20
    config: Dict[str, Any] = {
        'NetworkMode': world()['network'],
        'LogConfig': {'Type': 'json-file', 'Config': {'max-size': '1m'}},
        'CgroupnsMode': 'private',
        'Tmpfs': {'/run': 'exec,mode=755', '/run/lock': ''},
        # An engine refuses more cores than it has; memory can be overcommitted.
        'NanoCpus': int(min(cpus, world()['cpus']) * 1e9),
        'Memory': memory,
        'MemorySwap': memory,
        'Mounts': [{'Type': 'volume', 'Target': v} for v in _VOLUMES],
    }
    if world()['modules']:
        config['Mounts'].append({
            'Type': 'bind', 'Source': '/lib/modules', 'Target': '/lib/modules', 'ReadOnly': True})
    if world()['privileged']:
        config['Privileged'] = True
        return config
    config.update({
        'CapAdd': ['ALL'],
        'CapDrop': ['SYS_RESOURCE'],
        'SecurityOpt': ['seccomp=unconfined', 'apparmor=unconfined', 'label=disable'],
        'MaskedPaths': [],
        'ReadonlyPaths': [],
        'DeviceCgroupRules': ['a *:* rwm'],
    })
    return config


def _archive(files: Dict[str, cloudinit.File]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode='w') as tar:
        for path, (mode, text) in files.items():
            data = text.encode()
            info = tarfile.TarInfo(path.lstrip('/'))
            info.mode, info.size = mode, len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def accelerators(instance_type: Optional[str], with_driver: bool) -> Dict[str, cloudinit.File]:
    """Returns the files of a host with accelerators, on an image with or without NVIDIA's driver."""
    if instance_type not in world()['accelerators']:
        return {}
    name, count = world()['accelerators'][instance_type]
    found = {_GPUS: (0o644, f'{count} NVIDIA-{name} {_DRIVER}\n')}
    if with_driver:
        found['/usr/local/bin/nvidia-smi'] = (0o755, _NVIDIA_SMI)
    return found


def launch(name: str, labels: Dict[str, str], cpus: float, memory_gib: float,
           user_data: Dict[str, Any], more: Optional[Dict[str, cloudinit.File]] = None) -> str:
    """Creates and starts a host with additional files, which executes the user data on its first boot. Returns its
    address."""
    engine = api()
    made = engine.create_container_from_config({
        'Image': world()['image'],
        'Hostname': name,
        'Labels': {LABEL_ENV: world()['id'], **labels},
        'Env': ['container=docker'],
        'Entrypoint': ['/bin/sh', cloudinit.FIRST_BOOT],
        'StopSignal': 'SIGRTMIN+3',
        'Tty': True,
        'HostConfig': _host_config(cpus, memory_gib),
    }, container_name(name))
    try:
        engine.put_archive(made['Id'], '/', _archive({**cloudinit.files(user_data), **(more or {})}))
        engine.start(made['Id'])
        return address(name)
    except Exception:
        remove(name)
        raise


def container_name(name: str) -> str:
    return f'skytest-{world()["id"]}-{name}'


def address(name: str) -> str:
    networks = api().inspect_container(container_name(name))['NetworkSettings']['Networks']
    return next(n['IPAddress'] for n in networks.values())


def is_running(name: str) -> bool:
    try:
        return api().inspect_container(container_name(name))['State']['Running']
    except errors.NotFound:
        return False


# The addresses that stopped hosts had.
_last: Dict[str, str] = {}


def stop(name: str) -> None:
    _last[name] = address(name)
    api().stop(container_name(name), timeout=_STOP_SECONDS)


def start(name: str) -> str:
    """Starts a stopped host, which gets a new address, as on a cloud. The engine would give it the old one again, so
    containers that do nothing hold that one meanwhile."""
    engine, held = api(), []
    try:
        while _last.get(name) and len(held) < 16:
            made = engine.create_container_from_config({
                'Image': world()['image'], 'Entrypoint': ['sleep', '120'],
                'HostConfig': {'NetworkMode': world()['network'], 'AutoRemove': True}})
            held.append(made['Id'])
            engine.start(made['Id'])
            networks = engine.inspect_container(made['Id'])['NetworkSettings']['Networks']
            if any(n['IPAddress'] == _last[name] for n in networks.values()):
                break
        engine.start(container_name(name))
        return address(name)
    finally:
        for container in held:
            try:
                engine.remove_container(container, force=True)
            except errors.APIError:
                pass  # it ends by itself


def remove(name: str) -> None:
    try:
        api().remove_container(container_name(name), v=True, force=True)
    except errors.NotFound:
        pass
    except errors.APIError as e:
        if e.status_code != 409:  # somebody else is removing it
            raise


def find(**labels: str) -> List[Dict[str, Any]]:
    """Returns the containers with these labels, in any state."""
    wanted = [f'{LABEL_ENV}={world()["id"]}'] + [f'{k}={v}' for k, v in labels.items()]
    return api().containers(all=True, filters={'label': wanted})


def name_of(container: Dict[str, Any]) -> str:
    prefix = f'/skytest-{world()["id"]}-'
    name = container['Names'][0]
    return name[len(prefix):] if name.startswith(prefix) else name


def deaths():
    """Yields (name, exit code) of each host that stops, for any reason."""
    filters = {'label': f'{LABEL_ENV}={world()["id"]}', 'event': 'die', 'type': 'container'}
    prefix = f'skytest-{world()["id"]}-'
    engine = docker.APIClient(version='auto', timeout=None)
    for event in engine.events(filters=filters, decode=True):
        attributes = event['Actor']['Attributes']
        yield attributes['name'][len(prefix):], int(attributes.get('exitCode', -1))


def size(instance_type: Optional[str], default=(2.0, 4.0)):
    """Returns the cores and GiB of a type, from the catalogs that SkyPilot reads."""
    return tuple(world()['types'].get(instance_type, default))
