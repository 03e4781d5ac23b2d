"""Tells, as JSON, what SkyPilot's own code would ask of a cloud for one machine, with the lean plugin or without it, and other
things that tests hold to SkyPilot's source:

    rights.py REASON MESSAGE

The reason and the message are those with which GCP's API refuses a machine. The answer has an entry for each question: the names
of the functions below, those of azure and gcp with "lean" or "plain". The clients of the clouds record what they are asked. All
between the configuration that SkyPilot renders and them is SkyPilot's.
"""
import json
import os
import sys
import tempfile
import traceback
import types
from unittest import mock

from sky.provision import common


def _config(provider, node):
    return common.ProvisionConfig(
        provider_config=provider, authentication_config={}, docker_config={}, node_config=node, count=1, tags={},
        resume_stopped_nodes=False, ports_to_open_on_launch=None)


def _provisioner(cloud, below, lean):
    if not lean:
        return below
    import skyctl_lean
    return skyctl_lean._Lean(cloud, below)


def azure(lean):
    from sky.adaptors import azure as adaptor
    from sky.provision import azure as below
    from sky.utils import common_utils
    from sky.utils import schemas

    identity = 'skyctl-none' if lean else 'LOCAL_CREDENTIALS'  # what NO_UPLOAD comes to
    common_utils.validate_schema({'azure': {'remote_identity': identity}}, schemas.get_config_schema(), 'refused: ')
    clients = {name: mock.MagicMock() for name in ('resource', 'compute', 'network')}
    clients['resource'].deployments.get.side_effect = adaptor.exceptions().ResourceNotFoundError()
    output = lambda id: {'value': id}
    deploy = clients['resource'].deployments.create_or_update
    deploy.return_value.result.return_value.properties.outputs = {
        'nsg': output('/nsg'), 'subnet': output('/subnet'), 'msi': output('/subscriptions/s/userAssignedIdentities/sky-made')}
    clients['compute'].virtual_machines.list.return_value = []
    config = _config(
        {'subscription_id': 's', 'resource_group': 'g', 'location': 'eastus', 'use_external_resource_group': False, 'remote_identity': identity},
        {'tags': {}, 'azure_arm_parameters': {
            'vmSize': 'Standard_D2s_v5', 'publicKey': 'ssh-ed25519 AAAA', 'adminUsername': 'azureuser', 'cloudInitSetupCommands': '',
            'imagePublisher': 'p', 'imageOffer': 'o', 'imageSku': 's', 'imageVersion': 'v', 'osDiskTier': 'Premium_LRS', 'osDiskSizeGB': 30}})
    models = adaptor.azure_mgmt_models
    with mock.patch.object(adaptor, 'get_client', lambda name, *a, **k: clients[name]), \
            mock.patch.object(adaptor, 'deployment_mode', mock.MagicMock()), \
            mock.patch.object(adaptor, 'azure_mgmt_models', lambda name: models(name) if name == 'compute' else mock.MagicMock()):
        provisioner = _provisioner('azure', below, lean)
        config = provisioner.bootstrap_instances('eastus', 'sky-x-0-1a2b', config)
        try:
            provisioner.run_instances('eastus', 'sky-x-0', 'sky-x-0-1a2b', config)
        except AssertionError:
            pass  # it looks for the machine that it asked for, which these clients have not made
    asked = clients['compute'].virtual_machines.begin_create_or_update.call_args.kwargs['parameters']
    return {
        'deployed': sorted(r['type'] for r in deploy.call_args.kwargs['parameters']['properties']['template']['resources']),
        'identities': sorted((asked.identity.user_assigned_identities or {}) if asked.identity else []),
        'written': sorted(asked.serialize()) if not asked.identity else [],
    }


def gcp(lean):
    from sky.provision.gcp import config as bootstrap
    from sky.provision.gcp import instance_utils

    crm, iam, compute = mock.MagicMock(), mock.MagicMock(), mock.MagicMock()
    resource = mock.MagicMock()

    class Below:
        """Creates the machine as SkyPilot's provisioner does, without looking for others first."""
        bootstrap_instances = staticmethod(bootstrap.bootstrap_instances)

        @staticmethod
        def run_instances(region, cluster_name, cluster_name_on_cloud, config):
            with mock.patch.object(instance_utils.GCPComputeInstance, 'load_resource', lambda: resource):
                instance_utils.GCPComputeInstance._insert(['sky-x-0'], 'project', 'us-central1-a', dict(config.node_config))
            return common.ProvisionRecord('gcp', region, 'us-central1-a', cluster_name, 'sky-x-0', [], ['sky-x-0'])

    unchanged = lambda region, name, config, compute: config
    config = _config({'project_id': 'project', 'availability_zone': 'us-central1-a'}, {'machineType': 'n2-standard-2', 'labels': {}})
    with mock.patch.object(bootstrap, 'construct_clients_from_provider_config', lambda _: (crm, iam, compute, None)), \
            mock.patch.object(bootstrap, '_configure_project', lambda *_: None), \
            mock.patch.object(bootstrap, '_configure_subnet', unchanged), \
            mock.patch.object(bootstrap, '_configure_placement_policy', unchanged):
        provisioner = _provisioner('gcp', Below, lean)
        config = provisioner.bootstrap_instances('us-central1', 'sky-x-0-1a2b', config)
        provisioner.run_instances('us-central1', 'sky-x-0', 'sky-x-0-1a2b', config)
    body = resource.instances().insert.call_args.kwargs['body']
    return {
        'identities': ['%s' % a['scopes'] for a in body.get('serviceAccounts', [])],
        'iam_calls': len(iam.mock_calls),
        'name': body['name'],
    }


def ports():
    """By cloud, why SkyPilot opens no ports there; empty where it does."""
    import importlib
    import inspect

    import sky
    from sky import clouds
    from sky.utils import registry

    found = {}
    for name, cloud in registry.CLOUD_REGISTRY.items():
        try:
            cloud.check_features_are_supported(sky.Resources(), {clouds.CloudImplementationFeatures.OPEN_PORTS})
        except Exception as e:  # pylint: disable=broad-except
            found[name] = str(e) or type(e).__name__
            continue
        module = importlib.import_module('sky.provision.' + {'lambda': 'lambda_cloud'}.get(name, name))
        opener = getattr(module, 'open_ports', None)
        if opener is None:
            found[name] = 'no open_ports'
        elif 'NotImplementedError' in inspect.getsource(opener):
            found[name] = 'open_ports is not implemented'
        else:
            found[name] = ''
    return found


def exposed():
    """By cloud, whether SkyPilot opens ports there and does nothing for it: none is closed."""
    import ast
    import importlib
    import inspect
    import textwrap

    def does_nothing(name):
        module = importlib.import_module('sky.provision.' + {'lambda': 'lambda_cloud'}.get(name, name))
        body = ast.parse(textwrap.dedent(inspect.getsource(module.open_ports))).body[0].body
        return all(isinstance(s, (ast.Delete, ast.Pass, ast.Return)) or isinstance(s, ast.Expr) and (
            isinstance(s.value, ast.Constant) or ast.unparse(s.value).startswith('logger.')) for s in body)

    return {name: not why and does_nothing(name) for name, why in ports().items()}


def refused(reason, message):
    """What SkyPilot logs where GCP's API refuses a machine with an error, and what it looks for in it."""
    import inspect

    from sky.backends import cloud_vm_ray_backend
    from sky.provision.gcp import instance_utils

    class HttpError(Exception):
        error_details = [{'message': message, 'domain': 'global', 'reason': reason}]

    logged = []
    resource = mock.MagicMock()
    resource.instances().bulkInsert.return_value.execute.side_effect = HttpError()
    with mock.patch.object(instance_utils.gcp, 'http_error_exception', lambda: HttpError), \
            mock.patch.object(instance_utils.GCPComputeInstance, 'load_resource', lambda: resource), \
            mock.patch.object(instance_utils.logger, 'warning', logged.append):
        instance_utils.GCPComputeInstance._create_instances(['sky-x-0'], 'project', 'us-central1-a', {'labels': {}, 'machineType': 'n2-standard-2'}, [False])
    return {'logged': logged,
            'handler': inspect.getsource(cloud_vm_ray_backend.FailoverCloudErrorHandlerV2._gcp_handler)}


def apart():
    """Which clouds can hold two machines that reach each other: without a word in SkyPilot's configuration, and with one."""
    with tempfile.TemporaryDirectory() as directory:
        return _apart(os.path.join(directory, 'config.yaml'))


def _apart(path):
    os.environ['SKYPILOT_GLOBAL_CONFIG'] = path
    with open(path, 'w', encoding='utf-8') as f:
        f.write('{}')
    import skyctl_bridge
    from sky import clouds
    places = [types.SimpleNamespace(cloud=c, region='r') for c in (clouds.Azure(), clouds.Nebius(), clouds.AWS())]
    names = lambda nodes: [skyctl_bridge._name(p.cloud) for p in skyctl_bridge._connected(places, nodes)]
    found = {'one': names(1), 'two': names(2)}
    places = places[:1]
    try:
        names(2)
    except skyctl_bridge.Problem as problem:
        found['problem'] = problem.answer
    with open(path, 'w', encoding='utf-8') as f:
        f.write('azure: {vpc_name: skyctl}')
    found['named'] = names(2)
    return found


def setup():
    """By cloud of the plugin, the units that SkyPilot's commands on a new machine stop, disable or mask, and its firewall rules.
    Their words of the shell are left out."""
    import re

    import sky
    import skyctl_lean

    found = {}
    for name in skyctl_lean.CLOUDS:
        path = os.path.join(os.path.dirname(sky.__file__), 'templates', name + '-ray.yml.j2')
        with open(path, encoding='utf-8') as f:
            lines = [line for line in f if not line.lstrip().startswith('#')]
        units, rules = set(), []
        for line in lines:
            for command in re.findall(r'systemctl (?:stop|disable|mask) ([^;|>]*)', line):
                units.update(unit.removesuffix('.service') for unit in command.split())
            rules += re.findall(r'(?:iptables|nft|ufw|firewall-cmd) [^;]*', line)
        found[name] = {'units': sorted(units), 'rules': rules}
    return found


def isolated(question):
    """Answers in a fork: the plugin changes SkyPilot's modules for good, and importing SkyPilot anew takes seconds. Returns None
    if it fails."""
    received, sent = os.pipe()
    if os.fork() == 0:
        status = 1
        try:
            with os.fdopen(sent, 'w') as out:
                json.dump(question(), out, default=str)
            status = 0
        except Exception:  # pylint: disable=broad-except
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
    os.close(sent)
    with os.fdopen(received) as answer:
        text = answer.read()
    _, status = os.wait()
    return json.loads(text) if status == 0 else None


def main():
    questions = {'ports': ports, 'exposed': exposed, 'setup': setup, 'apart': apart, 'refused': lambda: refused(*sys.argv[1:])}
    for cloud in (azure, gcp):
        questions[cloud.__name__ + ' lean'] = lambda cloud=cloud: cloud(True)
        questions[cloud.__name__ + ' plain'] = lambda cloud=cloud: cloud(False)
    print('\n' + json.dumps({name: isolated(question) for name, question in questions.items()}))


main()
