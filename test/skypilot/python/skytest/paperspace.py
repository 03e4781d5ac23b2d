"""A second cloud, behind SkyPilot's provisioner interface: its machines are Docker hosts, its only record of them."""
import uuid
from typing import Any, Dict, List, Optional, Tuple

from sky.provision import common
from sky.utils import status_lib

from skytest import cloudinit
from skytest import faults
from skytest import hosts

_CLOUD = 'paperspace'
_USER = 'paperspace'

# A new machine as its image provides it, without SkyPilot's runtime.
BARE = common.ProvisionRuntimeMetadata(
    has_ray=False, has_skylet=False, has_job_queue=False, ssh_available=True, runtime_setup_done=True)


def _machines(cluster: str, running: bool = False) -> Dict[str, Dict[str, Any]]:
    found = hosts.find(**{hosts.LABEL_CLOUD: _CLOUD, hosts.LABEL_CLUSTER: cluster})
    return {hosts.name_of(c): c for c in found if not running or c['State'] == 'running'}


def bootstrap_instances(region: str, cluster_name_on_cloud: str,
                        config: common.ProvisionConfig) -> common.ProvisionConfig:
    del region, cluster_name_on_cloud
    return config


def run_instances(region: str, cluster_name: str, cluster_name_on_cloud: str,
                  config: common.ProvisionConfig) -> common.ProvisionRecord:
    del cluster_name
    instance_type = config.node_config['InstanceType']
    request = {'cloud': _CLOUD, 'operation': 'RunInstances', 'region': region, 'zone': None,
               'instance_type': instance_type, 'cluster': cluster_name_on_cloud}
    faults.meet(False, **request)
    resumed = []
    for name, container in _machines(cluster_name_on_cloud).items():
        if container['State'] != 'running':
            hosts.start(name)
            resumed.append(name)
    there = sorted(_machines(cluster_name_on_cloud))
    created = []
    user_data = cloudinit.for_user(_USER, config.authentication_config['ssh_public_key'])
    cpus, memory = hosts.size(instance_type)
    while len(there) < config.count:
        name = f'ps-{uuid.uuid4().hex[:10]}'
        hosts.launch(name, {hosts.LABEL_CLOUD: _CLOUD, hosts.LABEL_REGION: region,
                            hosts.LABEL_TYPE: instance_type,
                            hosts.LABEL_CLUSTER: cluster_name_on_cloud}, cpus, memory, user_data)
        created.append(name)
        there.append(name)
    faults.meet(True, **request)
    return common.ProvisionRecord(
        provider_name=_CLOUD, cluster_name=cluster_name_on_cloud, region=region, zone=None,
        head_instance_id=there[0], resumed_instance_ids=resumed, created_instance_ids=created,
        runtime_metadata=BARE)


def wait_instances(region: str, cluster_name_on_cloud: str, state: Optional[status_lib.ClusterStatus]) -> None:
    del region, cluster_name_on_cloud, state


def get_cluster_info(region: str, cluster_name_on_cloud: str,
                     provider_config: Optional[Dict[str, Any]] = None) -> common.ClusterInfo:
    del region
    found = sorted(_machines(cluster_name_on_cloud, running=True))
    instances: Dict[str, List[common.InstanceInfo]] = {}
    for name in found:
        address = hosts.address(name)
        instances[name] = [common.InstanceInfo(
            instance_id=name, internal_ip=address, external_ip=address, tags={}, node_name=name)]
    return common.ClusterInfo(
        instances=instances, head_instance_id=found[0] if found else None, provider_name=_CLOUD,
        provider_config=provider_config, ssh_user=_USER)


def query_instances(cluster_name: str, cluster_name_on_cloud: str, provider_config: Optional[Dict[str, Any]] = None,
                    non_terminated_only: bool = True, retry_if_missing: bool = False,
                    ) -> Dict[str, Tuple[Optional[status_lib.ClusterStatus], Optional[str]]]:
    del cluster_name, provider_config, non_terminated_only, retry_if_missing
    faults.meet(False, cloud=_CLOUD, operation='DescribeInstances', cluster=cluster_name_on_cloud)
    up, stopped = status_lib.ClusterStatus.UP, status_lib.ClusterStatus.STOPPED
    return {name: (up if c['State'] == 'running' else stopped, None)
            for name, c in _machines(cluster_name_on_cloud).items()}


def terminate_instances(cluster_name_on_cloud: str, provider_config: Optional[Dict[str, Any]] = None,
                        worker_only: bool = False) -> None:
    del provider_config
    request = {'cloud': _CLOUD, 'operation': 'TerminateInstances', 'cluster': cluster_name_on_cloud}
    faults.meet(False, **request)
    for name in sorted(_machines(cluster_name_on_cloud))[1 if worker_only else 0:]:
        hosts.remove(name)
    faults.meet(True, **request)


def stop_instances(cluster_name_on_cloud: str, provider_config: Optional[Dict[str, Any]] = None,
                   worker_only: bool = False) -> None:
    del provider_config
    for name in sorted(_machines(cluster_name_on_cloud))[1 if worker_only else 0:]:
        hosts.stop(name)


def open_ports(cluster_name_on_cloud: str, ports: List[str], provider_config: Optional[Dict[str, Any]] = None) -> None:
    del cluster_name_on_cloud, ports, provider_config


def cleanup_ports(cluster_name_on_cloud: str, ports: List[str],
                  provider_config: Optional[Dict[str, Any]] = None) -> None:
    del cluster_name_on_cloud, ports, provider_config
