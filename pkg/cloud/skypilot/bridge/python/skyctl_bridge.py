"""Answers what SkyPilot's API server does not return as JSON, with one JSON object per line on stdin and stdout.

The answer to {"id": n, "question": {"op": name, ...}} is {"id": n, "ok": ...} or {"id": n, "error": message}. Each
question runs in a thread of its own, so that slow questions do not delay others. No thread sleeps until a cloud has
changed: the caller asks again. Questions and answers are never logged. SkyPilot's own output goes to stderr.
"""
import base64
import concurrent.futures
import datetime
import difflib
import json
import os
import pickle
import re
import sys
import threading
import time

_RANKED = 40  # placements are tried one after the other; more are never needed


def _clouds(names):
    from sky.utils import registry
    return [registry.CLOUD_REGISTRY.from_str(n) for n in names]


def _name(cloud):
    return repr(cloud).lower()


# SkyPilot's optimizer is not thread-safe, and _Enabled changes global state: one plan runs at a time.
_PLANNING = threading.Lock()


class _Enabled:
    """Sets the enabled clouds, which the server knows and this process does not."""

    def __init__(self, names):
        self._clouds = _clouds(names)

    def __enter__(self):
        from sky import check
        self._was = check.get_cached_enabled_clouds_or_refresh
        check.get_cached_enabled_clouds_or_refresh = lambda *a, **k: list(self._clouds)

    def __exit__(self, *exc):
        from sky import check
        check.get_cached_enabled_clouds_or_refresh = self._was


class Problem(Exception):
    """A request that cannot be met: the field, and what it should be."""

    def __init__(self, field, want):
        super().__init__(want)
        self.answer = {'field': field, 'want': want}


def plan(question):
    """Ranks the placements for machines as SkyPilot's optimizer does, the cheapest first."""
    with _PLANNING, _Enabled(question['clouds']):
        _reload_catalogs()
        try:
            found = _candidates(question['resources'])
            if not found:
                raise _why(question)
            if question.get('larger'):
                found = _with_larger(found, question['resources'])
            found = _connected(found, question.get('nodes', 1))
        except Problem as problem:
            return {'problem': problem.answer}
        return {'placements': [_placement(r) for r in found[:_RANKED]]}


def _candidates(resources):
    import sky
    from sky import exceptions
    from sky import optimizer
    try:
        task = sky.Task()
        task.set_resources(sky.Resources.from_yaml_config(dict(resources)))
    except (ValueError, exceptions.NotSupportedError) as e:
        raise _rejected(e, resources) from e
    try:
        launchable = optimizer._fill_in_launchable_resources(task, None, quiet=True)[0]
    except (ValueError, exceptions.NotSupportedError) as e:
        raise _rejected(e, resources) from e
    # The optimizer chooses the cheapest of these and, among equals, the first one.
    # It compares the price limit only with the cheapest placement of an instance type.
    cap = resources.get('max_hourly_cost')
    found = [r for rs in launchable.values() for r in rs if cap is None or r.get_cost(3600) <= cap + 1e-9]
    return sorted(found, key=lambda r: r.get_cost(3600))


def _with_larger(found, resources):
    """Adds the next larger instance types: SkyPilot offers one type for CPUs and memory, which may be sold out."""
    more = []
    for field, has in zip(('cpus', 'memory'), found[0].cloud.get_vcpus_mem_from_instance_type(found[0].instance_type)):
        if has and str(resources.get(field, '')).endswith('+') and not resources.get('accelerators'):
            try:
                more += _candidates(dict(resources, **{field: '%g+' % (2 * has)}))
            except Problem:
                continue
    known = {(_name(r.cloud), r.region, r.zone, r.instance_type) for r in found}
    for r in more:
        key = (_name(r.cloud), r.region, r.zone, r.instance_type)
        if key not in known:
            known.add(key)
            found = found + [r]
    return sorted(found, key=lambda r: r.get_cost(3600))


# Clouds on which SkyPilot isolates each machine, unless its configuration names a shared resource.
_SHARED = {'azure': 'vpc_name', 'nebius': 'security_group_name'}


def _connected(found, nodes):
    """Leaves out the placements whose machines could not reach each other."""
    if nodes < 2:
        return found
    from sky import skypilot_config
    skypilot_config.safe_reload_config()  # it may have been edited since
    joined, apart = [], set()
    for r in found:
        key = _SHARED.get(_name(r.cloud))
        if key is None or skypilot_config.get_effective_region_config(
                cloud=_name(r.cloud), region=r.region, keys=(key,), default_value=None):
            joined.append(r)
        else:
            apart.add('%s.%s' % (_name(r.cloud), key))
    if joined:
        return joined
    raise Problem('num_nodes', 'one machine, or a shared network: name it in SkyPilot\'s configuration (%s); '
                  'see docs/clouds.md' % ', '.join(sorted(apart)))


def _rejected(error, resources):
    """Finds the field that SkyPilot's own validation rejected."""
    text = _plain(str(error))
    lower = text.lower()
    for field in ('zone', 'region', 'image_id', 'accelerators', 'ports', 'labels', 'disk_size', 'memory', 'cpus', 'cloud'):
        word = {'image_id': 'image', 'accelerators': 'accelerator', 'disk_size': 'disk'}.get(field, field)
        if 'invalid ' + word in lower or field in resources and word in lower:
            return Problem(field, text)
    return Problem('cloud', text)


def _why(question):
    """Finds the field to blame: the one without which there is an offer."""
    wishes = question['resources']
    if wishes.get('accelerators'):
        problem = _accelerators(str(wishes['accelerators']), question['clouds'])
        if problem:
            return problem
    for field in ('max_hourly_cost', 'use_spot', 'memory', 'cpus', 'accelerators', 'zone', 'region', 'image_id', 'ports'):
        if field not in wishes:
            continue
        rest = {k: v for k, v in wishes.items() if k != field}
        if field in ('cpus', 'memory'):
            rest[field] = '1+'  # without it SkyPilot uses a default
        try:
            found = _candidates(rest)
        except Problem:
            continue
        if found:
            return Problem(field, _instead(field, found, question['clouds']))
    return Problem('cloud', 'no machine of %s meets the whole request: relax a part of it' % ', '.join(question['clouds']))


def _accelerators(wanted, clouds):
    name, _, count = wanted.partition(':')
    offered = _offered_accelerators(clouds)
    if not offered:
        return Problem('accelerators', 'none of the enabled clouds (%s) offers any accelerator' % ', '.join(clouds))
    if name not in offered:
        near = _near(name, offered)
        return Problem('accelerators', 'no enabled cloud offers %s; %s' % (
            name, 'nearest: ' + ', '.join(near) if near else 'offered: ' + ', '.join(sorted(offered)[:20])))
    if count and float(count) not in offered[name]:
        return Problem('accelerators', 'one machine has %s of %s' % (
            ' or '.join('%g' % n for n in sorted(offered[name])), name))
    return None


def _instead(field, found, clouds):
    best = _placement(found[0])
    offer = '%s in %s %s' % (best['instance_type'], best['cloud'], best['region'])
    if field == 'max_hourly_cost':
        return 'at least %.4f US dollars per hour: the cheapest offer is %s' % (best['price'], offer)
    if field == 'use_spot':
        return 'no cloud offers such machines as spot machines; leave it out: %s costs %.4f US dollars per hour' % (offer, best['price'])
    if field in ('cpus', 'memory'):
        most = max(_sizes(clouds), key=lambda s: s[field], default=None)
        largest = most and ' The largest machine has %g %s (%s in %s).' % (
            most[field], 'CPUs' if field == 'cpus' else 'GiB', most['instance_type'], most['cloud'])
        return 'no machine has that together with the rest of the request; N+ requests at least N.%s The cheapest offer: %s, %g CPUs, %g GiB' % (
            largest or '', offer, best['cpus'], best['memory_gib'])
    return 'nothing there meets the rest of the request; the cheapest elsewhere: %s' % offer


def _sizes(names):
    """Every instance type of the clouds' catalogs, for catalogs that are read in the usual way."""
    import importlib
    sizes = []
    for name in names:
        try:
            catalog = importlib.import_module('sky.catalog.%s_catalog' % name)
            rows = getattr(catalog, '_default_df' if name == 'aws' else '_df')[['InstanceType', 'vCPUs', 'MemoryGiB']].dropna()
        except (ImportError, AttributeError, KeyError):
            continue
        sizes += [{'cloud': name, 'instance_type': t, 'cpus': c, 'memory': m} for t, c, m in rows.itertuples(index=False)]
    return sizes


def _offered_accelerators(names):
    from sky import catalog
    offered = catalog.list_accelerators(gpus_only=False, clouds=names, require_price=False)
    return {name: {float(i.accelerator_count) for i in infos} for name, infos in offered.items()}


def _near(name, offered):
    lower = {o.lower(): o for o in offered}
    if name.lower() in lower:
        return [lower[name.lower()]]
    near = [lower[n] for n in difflib.get_close_matches(name.lower(), lower, n=5, cutoff=0.4)]
    return near + sorted(o for low, o in lower.items() if name.lower() in low and o not in near)[:5]


def _placement(r):
    cpus, memory = r.cloud.get_vcpus_mem_from_instance_type(r.instance_type)
    return {
        'cloud': _name(r.cloud), 'region': r.region, 'zone': r.zone or '', 'instance_type': r.instance_type,
        'cpus': cpus or 0, 'memory_gib': memory or 0, 'disk_gib': r.disk_size or 0, 'price': r.get_cost(3600),
    }


def handles(question):
    """Reads addresses, location and price from the handles in the server's status."""
    _reload_catalogs()
    return [_handle(h) for h in question['handles']]


def _reload_catalogs():
    """Makes SkyPilot read catalogs again that have changed."""
    from sky.utils import annotations
    annotations.clear_request_level_cache()


def _handle(encoded):
    if not encoded:
        return {}
    handle = pickle.loads(base64.b64decode(encoded))
    if handle is None:
        return {}
    found = {'name_on_cloud': handle.cluster_name_on_cloud}
    external, internal, ports = handle.cached_external_ips, handle.cached_internal_ips, handle.cached_external_ssh_ports
    if external:
        found['address'] = external[0]
    if internal:
        found['private_address'] = internal[0]
        found.setdefault('address', internal[0])
    if ports:
        found['ssh_port'] = ports[0]
    info = handle.cached_cluster_info
    if info is not None and info.head_instance_id:
        found['id'] = info.head_instance_id
    resources = handle.launched_resources
    if resources is not None and resources.cloud is not None and resources.instance_type is not None:
        try:
            found.update(_placement(resources))
        except Exception:  # pylint: disable=broad-except
            pass  # the catalog may no longer have the instance type of an existing machine
        found['startable'] = _startable(resources)
    return found


def addresses(question):
    """Asks the clouds for the addresses that machines have now. SkyPilot itself keeps those of the last launch or start of its
    own: a machine that its owner stopped and started in the cloud's console is UP with an old address, or with none
    (0.14.1 sky/backends/backend_utils.py _update_cluster_status, sky/global_user_state.py remove_cluster)."""
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        return list(pool.map(_addresses, question['handles']))


def _addresses(encoded):
    try:
        return _ask_addresses(pickle.loads(base64.b64decode(encoded)))
    except Exception as e:  # pylint: disable=broad-except
        return {'error': _plain('%s: %s' % (type(e).__name__, e))}


def _ask_addresses(handle):
    from sky import global_user_state
    from sky import provision
    provider = global_user_state.get_cluster_yaml_dict(handle.cluster_yaml)['provider']
    info = provision.get_cluster_info(
        repr(handle.launched_resources.cloud), provider.get('region') or provider.get('location'), handle.cluster_name_on_cloud,
        provider)
    # Copies of a machine may be among them.
    own = handle.cached_cluster_info.head_instance_id
    for machine in info.instances.get(own) or []:
        external = None if provider.get('use_internal_ips') else machine.external_ip
        return {'address': external or machine.internal_ip or '', 'private_address': machine.internal_ip or ''}
    return {'error': 'the cloud does not list it as running'}


def _startable(resources):
    """Whether SkyPilot can start a machine after it was stopped. It can if it can stop the machine, which depends on the
    cloud and, on most clouds, on whether it is a spot machine."""
    from sky import clouds
    from sky import exceptions
    try:
        resources.cloud.check_features_are_supported(resources, {clouds.CloudImplementationFeatures.STOP})
    except exceptions.NotSupportedError:
        return False
    return True


def aws_open(question):
    """Opens ports of a security group to ranges of addresses; ports that are open stay open."""
    ec2 = _ec2(question['region'])
    for group in _groups(ec2, question['group']):
        for rule in question['rules']:
            low, _, high = rule['ports'].partition('-')
            version = 'Ipv6' if ':' in rule['cidr'] else 'Ip'
            permission = {
                'IpProtocol': 'tcp', 'FromPort': int(low), 'ToPort': int(high or low),
                version + 'Ranges' if version == 'Ip' else 'Ipv6Ranges': [{'Cidr' + version: rule['cidr']}],
            }
            try:
                ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[permission])
            except _client_error() as e:
                if e.response['Error']['Code'] != 'InvalidPermission.Duplicate':
                    raise
    return {}


def aws_release(question):
    """Deletes a security group in all regions, and returns the regions in which it is still in use: machines that are
    being terminated use it for a while."""
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        regions = _regions(question)
        held = pool.map(lambda region: _delete_groups(region, question['group']), regions)
        return {'held': [{'region': region, 'why': why} for region, why in zip(regions, held) if why]}


def _delete_groups(region, name):
    ec2, held = _ec2(region), ''
    for group in _groups(ec2, name):
        try:
            ec2.delete_security_group(GroupId=group)
        except _client_error() as e:
            code = e.response['Error']['Code']
            if code == 'DependencyViolation':
                held = str(e)
            elif code != 'InvalidGroup.NotFound':
                raise
    return held


def aws_machines(question):
    """Lists the instances that have tags, whether SkyPilot knows them or not."""
    there = {'Name': 'instance-state-name', 'Values': ['pending', 'running', 'stopping', 'stopped']}
    return [{
        'id': i['InstanceId'], 'region': region, 'state': i['State']['Name'], 'tags': _tags(i),
        'address': i.get('PublicIpAddress', ''), 'private_address': i.get('PrivateIpAddress', ''),
    } for region, i in _instances(question, there)]


def aws_lifetimes(question):
    """Lists when the instances that have tags were launched and ended; AWS lists them for about an hour after their end."""
    return [{
        'id': i['InstanceId'], 'state': i['State']['Name'], 'tags': _tags(i),
        'launched': i['LaunchTime'].timestamp(), 'ended': _changed(i.get('StateTransitionReason', '')),
    } for _, i in _instances(question)]


_CHANGED = re.compile(r'\((\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) (?:GMT|UTC)\)')


def _changed(reason):
    """When an instance entered its state, in seconds since 1970, or 0 if unknown: AWS returns it only as text."""
    found = _CHANGED.search(reason)
    if not found:
        return 0
    return datetime.datetime.strptime(found.group(1) + ' +0000', '%Y-%m-%d %H:%M:%S %z').timestamp()


def _instances(question, *filters):
    """The instances that have tags, with their regions."""
    wanted = [{'Name': 'tag:' + k, 'Values': [v]} for k, v in question['tags'].items()] + list(filters)

    def of(region):
        pages = _ec2(region).get_paginator('describe_instances').paginate(Filters=wanted)
        return [(region, i) for page in pages for r in page['Reservations'] for i in r['Instances']]

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        return [i for found in pool.map(of, _regions(question)) for i in found]


def _tags(instance):
    return {t['Key']: t['Value'] for t in instance.get('Tags', [])}


def aws_terminate(question):
    """Terminates instances by id."""
    _ec2(question['region']).terminate_instances(InstanceIds=question['ids'])
    return {}


def _regions(question):
    if question.get('regions'):
        return question['regions']
    home = os.environ.get('AWS_DEFAULT_REGION') or 'us-east-1'
    return [r['RegionName'] for r in _ec2(home).describe_regions()['Regions']]


def _groups(ec2, name):
    found = ec2.describe_security_groups(Filters=[{'Name': 'group-name', 'Values': [name]}])
    return [g['GroupId'] for g in found['SecurityGroups']]


class _Clients:
    """Keeps a client for each region: creating one takes as long as a dozen calls, and a list needs all of them. They are
    recreated after an error, and after a while, because credentials may have changed. Several threads can use a client,
    but only one at a time can create clients."""

    _KEPT_SECONDS = 600

    def __init__(self):
        self._lock = threading.Lock()
        self._made = {}
        self._since = 0

    def of(self, region):
        from sky.adaptors import aws
        with self._lock:
            if time.monotonic() - self._since > self._KEPT_SECONDS:
                self._made, self._since = {}, time.monotonic()
            if region not in self._made:
                # The timeouts for one region are shorter than the caller's for all regions.
                self._made[region] = aws.client(
                    'ec2', region_name=region, connect_timeout=5, read_timeout=20, total_max_attempts=3)
            return self._made[region]

    def forget(self):
        with self._lock:
            self._made, self._since = {}, time.monotonic()


_CLIENTS = _Clients()


def _ec2(region):
    return _CLIENTS.of(region)


def _client_error():
    from botocore import exceptions
    return exceptions.ClientError


def _plain(text):
    return re.sub('\x1b\\[[0-9;?]*[A-Za-z]', '', text)


_OPS = {f.__name__: f for f in (
    plan, handles, addresses, aws_open, aws_release, aws_machines, aws_lifetimes, aws_terminate)}


# Threads that import SkyPilot at once find incomplete modules, because these import each other.
_LOADING = threading.Lock()


def _load():
    """Imports SkyPilot in one thread while the others wait."""
    with _LOADING:
        import sky  # pylint: disable=unused-import


def _answer(question):
    try:
        _load()
        return {'ok': _OPS[question['op']](question)}
    except Exception as e:  # pylint: disable=broad-except
        _CLIENTS.forget()
        return {'error': _plain('%s: %s' % (type(e).__name__, e))}


def main():
    answers = os.fdopen(os.dup(1), 'w', encoding='utf-8')
    os.dup2(2, 1)
    writing = threading.Lock()

    def reply(asked):
        answer = json.dumps({'id': asked['id'], **_answer(asked['question'])})
        with writing:
            answers.write(answer + '\n')
            answers.flush()

    for line in sys.stdin:
        threading.Thread(target=reply, args=(json.loads(line),), daemon=True).start()


if __name__ == '__main__':
    main()
