"""Leaves SkyPilot's own runtime off the machines that become Kubernetes nodes.

A plugin of the SkyPilot API server. Without it every machine gets conda, Ray and skylet, which cost minutes of each
launch, memory and open ports, and which nothing here uses. With it a launch ends once the cloud says that the machine
runs; whoever launched it waits for SSH. Query, status and termination stay SkyPilot's own.
"""
import dataclasses
import importlib

from sky import provision
from sky.provision import common
from sky.server import plugins

# Clouds that give virtual machines, by the name of their provisioner; elsewhere the runtime is the machine's access.
CLOUDS = {
    'aws': 'aws',
    'azure': 'azure',
    'cudo': 'cudo',
    'do': 'do',
    'fluidstack': 'fluidstack',
    'gcp': 'gcp',
    'hyperbolic': 'hyperbolic',
    'lambda': 'lambda_cloud',
    'mithril': 'mithril',
    'nebius': 'nebius',
    'oci': 'oci',
    'paperspace': 'paperspace',
    'primeintellect': 'primeintellect',
    'scp': 'scp',
    'seeweb': 'seeweb',
    'shadeform': 'shadeform',
    'verda': 'verda',
    'vsphere': 'vsphere',
}

_LEAN = common.ProvisionRuntimeMetadata(
    has_ray=False, has_skylet=False, has_job_queue=False, ssh_available=True, runtime_setup_done=True)

# Stands in a launch for an instance profile where the machine shall have none; SkyPilot would make one with full rights.
NO_PROFILE = 'skyctl-none'


def _harden(cloud, node_config, dead_man_minutes):
    """Gives the machine no rights on its cloud, and ends it for good when it shuts itself down, which its first boot sets a
    timer for."""
    if cloud == 'aws':
        if (node_config.get('IamInstanceProfile') or {}).get('Name') == NO_PROFILE:
            del node_config['IamInstanceProfile']
        if 'InstanceMarketOptions' not in node_config:  # a spot machine ends at shutdown anyway
            node_config['InstanceInitiatedShutdownBehavior'] = 'terminate'
        if dead_man_minutes > 0 and node_config.get('UserData'):
            node_config['UserData'] = _with_dead_man(node_config['UserData'], dead_man_minutes)
    if cloud == 'gcp':
        node_config.pop('serviceAccounts', None)


def _with_dead_man(user_data, minutes):
    """Adds the timer to a cloud-config. cloud-init-per keeps a later boot from setting it again."""
    command = ('  - cloud-init-per once skyctl-deadman systemd-run --collect --unit=skyctl-deadman '
               '--on-active=%dmin systemctl poweroff\n' % minutes)
    return user_data.replace('bootcmd:\n', 'bootcmd:\n' + command, 1)


class _Lean:
    """Launches as the cloud's own provisioner does and reports that no runtime is wanted."""

    def __init__(self, cloud, below, dead_man_minutes):
        self._cloud = cloud
        self._below = below
        self._dead_man_minutes = dead_man_minutes

    def run_instances(self, region, cluster_name, cluster_name_on_cloud, config):
        _harden(self._cloud, config.node_config, self._dead_man_minutes)
        record = self._below.run_instances(region, cluster_name, cluster_name_on_cloud, config)
        return dataclasses.replace(record, runtime_metadata=_LEAN)

    def __getattr__(self, name):
        # What is missing here SkyPilot looks for in its own provisioner.
        return getattr(self._below, name)


class Plugin(plugins.BasePlugin):
    """Registers the lean provisioner for every cloud of virtual machines."""

    name = 'skyctl_lean'

    def __init__(self, dead_man_minutes=0):
        self._dead_man_minutes = dead_man_minutes

    def install(self, extension_context):
        for cloud, module in CLOUDS.items():
            registered = provision.get_registered_provisioner(cloud)
            if registered is not None and isinstance(registered.module, _Lean):
                continue
            if registered is not None:
                provision.register_provisioner(
                    cloud, _Lean(cloud, registered.module, self._dead_man_minutes),
                    template_override=registered.template_override)
                continue
            provision.register_provisioner(cloud, _Lean(cloud, _InTree(module), self._dead_man_minutes))


class _InTree:
    """The provisioner that SkyPilot brings, imported when it is first used."""

    def __init__(self, module):
        self._module = module

    def __getattr__(self, name):
        if name.startswith('__'):
            raise AttributeError(name)
        return getattr(importlib.import_module('sky.provision.' + self._module), name)
