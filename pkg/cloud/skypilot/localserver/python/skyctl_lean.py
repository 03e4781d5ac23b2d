"""Leaves SkyPilot's own runtime off the machines that become Kubernetes nodes.

A plugin of the SkyPilot API server. Without it every machine gets conda, Ray and skylet, which cost minutes of each
launch, memory and open ports, and which skyctl does not use. With it a launch ends once the cloud reports that the
machine runs; the caller waits for SSH. Query, status and termination stay SkyPilot's own.
"""
import dataclasses
import importlib

from sky import provision
from sky.provision import common
from sky.server import plugins

# Clouds of virtual machines, with the names of their provisioners. On others the runtime is the way into the machine.
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

# Stands for the instance profile (AWS) or the identity (Azure) of a machine that is to have none; SkyPilot would create one
# with rights on the account.
NO_PROFILE = 'skyctl-none'

# This label of a machine is the number of minutes after which the timer of its first boot powers it off.
POWER_OFF_LABEL = 'skyctl-power-off-minutes'

# The systemd unit of that timer.
POWER_OFF_UNIT = 'skyctl-deadman'


def _harden(cloud, node_config):
    """Gives the machine no rights on its cloud. On AWS also terminates it when it shuts itself down, and adds the power-off
    timer that a label requests."""
    if cloud == 'aws':
        if (node_config.get('IamInstanceProfile') or {}).get('Name') == NO_PROFILE:
            del node_config['IamInstanceProfile']
        if 'InstanceMarketOptions' not in node_config:  # a spot machine ends at shutdown anyway
            node_config['InstanceInitiatedShutdownBehavior'] = 'terminate'
        minutes = _tags(node_config).get(POWER_OFF_LABEL)
        if minutes and node_config.get('UserData'):
            node_config['UserData'] = _with_power_off_timer(node_config['UserData'], int(minutes))
    if cloud == 'gcp':
        node_config.pop('serviceAccounts', None)
        if 'acceleratorType' in node_config:
            raise common.ProvisionerError('a TPU VM would have the rights of the project\'s default service account')


def _tags(node_config):
    """The tags of an instance on AWS."""
    return {tag['Key']: tag['Value'] for spec in node_config.get('TagSpecifications', [])
            if spec.get('ResourceType') == 'instance' for tag in spec.get('Tags', [])}


def _with_power_off_timer(user_data, minutes):
    """Adds the timer to a cloud-config. cloud-init-per keeps later boots from starting it again. The command must not wait
    for the timer, because that part of the boot waits for cloud-init."""
    command = ('  - cloud-init-per once %s systemd-run --no-block --collect --unit=%s '
               '--on-active=%dmin systemctl poweroff\n' % (POWER_OFF_UNIT, POWER_OFF_UNIT, minutes))
    return user_data.replace('bootcmd:\n', 'bootcmd:\n' + command, 1)


def _without_roles():
    """Keeps SkyPilot from creating a service account with rights in the project, which no machine would use."""
    module = importlib.import_module('sky.provision.gcp.config')
    made = module._configure_iam_role  # pylint: disable=protected-access
    if not getattr(made, 'skyctl', False):
        def none(config, crm, iam):
            del config, crm, iam
            return {}

        none.skyctl = True
        module._configure_iam_role = none


def _without_identity():
    """Creates machines on Azure without an identity if they are to have none: SkyPilot always sets one."""
    module = importlib.import_module('sky.provision.azure.instance')
    create = module._create_vm  # pylint: disable=protected-access
    if not getattr(create, 'skyctl', False):
        def bare(compute_client, vm_name, node_tags, provider_config, node_config, network_interface_id):
            if provider_config['msi'].rpartition('/')[2] == NO_PROFILE:
                compute_client = _Bare(compute_client)
            return create(compute_client, vm_name, node_tags, provider_config, node_config, network_interface_id)

        bare.skyctl = True
        module._create_vm = bare


class _Bare:
    """A client of Azure's compute service, or its part for machines, that creates every machine without an identity."""

    def __init__(self, real):
        self._real = real

    @property
    def virtual_machines(self):
        return _Bare(self._real.virtual_machines)

    def begin_create_or_update(self, *args, **kwargs):
        for machine in (*args, *kwargs.values()):
            if hasattr(machine, 'identity'):
                machine.identity = None
        return self._real.begin_create_or_update(*args, **kwargs)

    def __getattr__(self, name):
        return getattr(self._real, name)


def _prepare(cloud):
    """Patches SkyPilot's own provisioner where it has no setting, before it creates anything."""
    if cloud == 'gcp':
        _without_roles()
    if cloud == 'azure':
        _without_identity()


class _Lean:
    """Launches with the cloud's own provisioner, and reports that no runtime is wanted."""

    def __init__(self, cloud, below):
        self._cloud = cloud
        self._below = below

    def run_instances(self, region, cluster_name, cluster_name_on_cloud, config):
        _prepare(self._cloud)
        _harden(self._cloud, config.node_config)
        record = self._below.run_instances(region, cluster_name, cluster_name_on_cloud, config)
        return dataclasses.replace(record, runtime_metadata=_LEAN)

    def __getattr__(self, name):
        # SkyPilot looks for missing functions in its own provisioner.
        if name == 'bootstrap_instances':
            _prepare(self._cloud)
        return getattr(self._below, name)


class Plugin(plugins.BasePlugin):
    """Registers the lean provisioner for every cloud of virtual machines."""

    name = 'skyctl_lean'

    def install(self, extension_context):
        for cloud, module in CLOUDS.items():
            registered = provision.get_registered_provisioner(cloud)
            if registered is not None and isinstance(registered.module, _Lean):
                continue
            if registered is not None:
                provision.register_provisioner(
                    cloud, _Lean(cloud, registered.module),
                    template_override=registered.template_override)
                continue
            provision.register_provisioner(cloud, _Lean(cloud, _InTree(module)))


class _InTree:
    """SkyPilot's own provisioner, imported when it is first used."""

    def __init__(self, module):
        self._module = module

    def __getattr__(self, name):
        if name.startswith('__'):
            raise AttributeError(name)
        return getattr(importlib.import_module('sky.provision.' + self._module), name)
