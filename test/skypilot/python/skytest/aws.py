"""An AWS whose EC2 instances are Docker hosts: moto's server, whose instances get real hosts.

python -m skytest.aws PORT
"""
import io
import logging
import sys
import threading
from typing import Any, Dict, List, Optional, Tuple
from urllib import parse

from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID
from moto.core.responses import EmptyResult
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models import instances
from moto.ec2.models import security_groups
from moto.ec2.responses import instances as responses
from moto.moto_server.werkzeug_app import create_backend_app
from moto.moto_server.werkzeug_app import DomainDispatcherApplication
from moto.moto_server.werkzeug_app import MotoRequestHandler
from werkzeug.serving import run_simple

from skytest import cloudinit
from skytest import faults
from skytest import hosts
from skytest.world import world

# How a container of systemd ends: reboot(2) in a PID namespace kills its init with SIGHUP or SIGINT.
_REBOOTED = 129

_ROOT_DISK = '/dev/sda1'

_CLUSTER_TAG = 'ray-cluster-name'  # SkyPilot's, on every instance


def ec2(region: str) -> Any:
    return get_backend('ec2')[DEFAULT_ACCOUNT_ID][region]


class Lives:
    """Binds instances to their hosts. An instance is busy while the API changes it: the exit of its host is expected
    then."""

    def __init__(self) -> None:
        self._by_id: Dict[str, Any] = {}
        self._busy: set = set()
        self._lock = threading.Lock()

    def born(self, instance: Any) -> None:
        text = instance.user_data.decode() if instance.user_data else ''
        cpus, memory = hosts.size(instance.instance_type)
        with self._lock:
            self._by_id[instance.id] = instance
        try:
            self._address(instance, hosts.launch(
                instance.id,
                {hosts.LABEL_CLOUD: 'aws', hosts.LABEL_REGION: instance.region_name,
                 hosts.LABEL_TYPE: instance.instance_type},
                cpus, memory, cloudinit.parse(text) if text else {},
                hosts.accelerators(instance.instance_type, instance.image_id in world()['drivers'])))
        except Exception:
            logging.exception('launching %s', instance.id)
            raise

    def during(self, instance: Any, change, original) -> Any:
        with self._lock:
            self._busy.add(instance.id)
        try:
            address = change(instance.id)
            state = original(instance)
            if address:
                self._address(instance, address)
            return state
        finally:
            with self._lock:
                self._busy.discard(instance.id)

    @staticmethod
    def _address(instance: Any, address: str) -> None:
        nic = instance.nics[0]
        nic.private_ip_address = address
        for entry in nic.private_ip_addresses:
            entry['PrivateIpAddress'] = address
        nic.public_ip = address if nic.public_ip or nic.public_ip_auto_assign else None

    def follow_deaths(self) -> None:
        """Stops or terminates an instance when its machine shuts down, depending on its attribute, as EC2 does."""
        for name, code in hosts.deaths():
            if hosts.is_running(name):
                continue  # the news is old: the host was started since
            with self._lock:
                instance = self._by_id.get(name)
                if instance is None or name in self._busy or instance.state != 'running':
                    continue
            if code == _REBOOTED:
                self._address(instance, hosts.start(name))
                continue
            if instance.instance_initiated_shutdown_behavior == 'terminate':
                instance.terminate()
            else:
                instance.stop()
            instance.state_reason = instances.StateReason(
                'Client.InstanceInitiatedShutdown: Instance initiated shutdown', 'Client.InstanceInitiatedShutdown')


def give_lives() -> Lives:
    lives = Lives()
    cls = instances.Instance
    init, start, stop, terminate = cls.__init__, cls.start, cls.stop, cls.terminate

    def born(self, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        lives.born(self)

    cls.__init__ = born  # type: ignore[method-assign]
    cls.start = lambda self: lives.during(self, hosts.start, start)
    cls.stop = lambda self: lives.during(self, hosts.stop, stop)
    cls.terminate = lambda self: lives.during(self, hosts.remove, terminate)
    return lives


def mend_attributes() -> None:
    """Adds an attribute that moto mistakes for a change of security groups and answers with success."""
    cls = responses.InstanceResponse
    original = cls.modify_instance_attribute

    def modify(self) -> Any:
        value = self.querystring.get('InstanceInitiatedShutdownBehavior.Value')
        if not value:
            return original(self)
        self.ec2_backend.modify_instance_attribute(
            self.querystring['InstanceId'][0], 'instance_initiated_shutdown_behavior', value[0])
        return EmptyResult()

    cls.modify_instance_attribute = modify  # type: ignore[method-assign]


def mend_disks() -> None:
    """Deletes a machine's root disk with the machine, which is the default on AWS; moto keeps it."""
    cls = responses.InstanceResponse
    original = cls._parse_block_device_mapping  # pylint: disable=protected-access

    def parse(self) -> Any:
        mappings = original(self)
        for asked, mapping in zip(self._get_param('BlockDeviceMappings', []), mappings):
            if mapping['DeviceName'] == _ROOT_DISK and 'DeleteOnTermination' not in asked.get('Ebs', {}):
                mapping['Ebs']['DeleteOnTermination'] = True
        return mappings

    cls._parse_block_device_mapping = parse  # type: ignore[method-assign]


def mend_groups() -> None:
    """Makes moto refuse, as AWS does, to delete a security group that a machine or another group's rule uses."""
    cls = security_groups.SecurityGroupBackend
    original = cls._delete_security_group  # pylint: disable=protected-access

    def delete(self, vpc_id: Optional[str], group_id: str) -> None:
        used = any(group_id in (g.id for g in nic.group_set)
                   for i in self.all_instances() if i.state != 'terminated' for nic in i.nics.values())
        used = used or any(group_id == (rule.source_group or {}).get('GroupId')
                           for groups in self.groups.values() for group in groups.values() if group.id != group_id
                           for rule in group.ingress_rules + group.egress_rules)
        if used:
            raise EC2ClientError('DependencyViolation', f'resource {group_id} has a dependent object')
        original(self, vpc_id, group_id)

    cls._delete_security_group = delete  # type: ignore[method-assign]


class Faulty:
    """Receives requests before moto, and answers those that a fault affects."""

    def __init__(self, app: Any) -> None:
        self._app = app

    def __call__(self, environ: Dict[str, Any], start_response: Any) -> Any:
        service, request = describe(environ)
        try:
            if not request.get('operation'):
                return self._app(environ, start_response)
            faults.meet(False, **request)
            late: List[Tuple] = []
            body = list(self._app(environ, lambda *a, **k: late.append((a, k))))
            faults.meet(True, **request)
            for args, kwargs in late:
                start_response(*args, **kwargs)
            return body
        except faults.Refused as e:
            return refuse(service, e, start_response)


def describe(environ: Dict[str, Any]) -> Tuple[Optional[str], Dict[str, Optional[str]]]:
    """Returns the service of a request, and the values that faults are matched by."""
    try:
        scope = environ['HTTP_AUTHORIZATION'].split('Credential=')[1].split(',')[0]
        _, _, region, service, _ = scope.split('/')
    except (KeyError, IndexError, ValueError):
        return None, {}
    form: Dict[str, str] = {}
    if environ.get('CONTENT_TYPE', '').startswith('application/x-www-form-urlencoded'):
        form = dict(parse.parse_qsl(_body(environ)))
    request: Dict[str, Optional[str]] = {
        'cloud': 'aws', 'operation': form.get('Action'), 'region': region,
        'zone': None, 'instance_type': form.get('InstanceType'), 'cluster': None}
    if service == 'ec2' and form.get('Action') == 'RunInstances':
        request['zone'] = _zone(region, form)
        request['cluster'] = _tag(form)
    elif 'InstanceId.1' in form:
        found = [i for i in ec2(region).all_instances() if i.id == form['InstanceId.1']]
        if found:
            request.update(zone=found[0].availability_zone, instance_type=found[0].instance_type, cluster=next(
                (t['value'] for t in found[0].get_tags() if t['key'] == _CLUSTER_TAG), None))
    return service, request


def _body(environ: Dict[str, Any]) -> str:
    data = environ['wsgi.input'].read(int(environ.get('CONTENT_LENGTH') or 0))
    environ['wsgi.input'] = io.BytesIO(data)
    return data.decode()


def _zone(region: str, form: Dict[str, str]) -> Optional[str]:
    subnet = form.get('NetworkInterface.1.SubnetId') or form.get('SubnetId')
    if subnet:
        return ec2(region).get_subnet(subnet).availability_zone
    return form.get('Placement.AvailabilityZone')


def _tag(form: Dict[str, str]) -> Optional[str]:
    for key, value in form.items():
        if value == _CLUSTER_TAG and key.endswith('.Key'):
            return form.get(key[:-len('Key')] + 'Value')
    return None


def refuse(service: Optional[str], e: faults.Refused, start_response: Any) -> List[bytes]:
    status = f'{e.status} {"Bad Request" if e.status < 500 else "Server Error"}'
    start_response(status, [('Content-Type', 'text/xml')])
    error = f'<Error><Code>{e.code}</Code><Message>{e.message}</Message></Error>'
    if service == 'ec2':
        return [f'<Response><Errors>{error}</Errors><RequestID>fault</RequestID></Response>'.encode()]
    return [f'<ErrorResponse>{error}<RequestId>fault</RequestId></ErrorResponse>'.encode()]


def prepare_account() -> None:
    """Creates what moto's account lacks: default VPCs that reach the internet, and an instance profile without
    rights."""
    for region in world()['regions']:
        backend = ec2(region)
        gateway = backend.create_internet_gateway()
        backend.attach_internet_gateway(gateway.id, backend.default_vpc.id)
        table = backend.describe_route_tables(
            filters={'vpc-id': [backend.default_vpc.id], 'association.main': ['true']})[0]
        backend.create_route(table.id, '0.0.0.0/0', gateway_id=gateway.id)
    iam = get_backend('iam')[DEFAULT_ACCOUNT_ID]['aws']
    iam.create_instance_profile(name=world()['profile'], path='/', role_names=[])


def main() -> None:
    logging.getLogger('werkzeug').setLevel(logging.INFO)
    lives = give_lives()
    mend_attributes()
    mend_disks()
    mend_groups()
    prepare_account()
    threading.Thread(target=lives.follow_deaths, daemon=True).start()
    app = DomainDispatcherApplication(create_backend_app)
    app.debug = True  # type: ignore[attr-defined]
    run_simple('127.0.0.1', int(sys.argv[1]), Faulty(app), threaded=True, request_handler=MotoRequestHandler)


if __name__ == '__main__':
    main()
