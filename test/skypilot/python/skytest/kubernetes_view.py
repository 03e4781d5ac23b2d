"""Prints as JSON what SkyPilot finds in a context of the kubeconfig: kubernetes_view.py CONTEXT."""
import json
import sys

from sky import clouds
from sky.provision.kubernetes import utils


def main() -> None:
    """SkyPilot's messages go to stdout, too, so the answer is the last line."""
    context = sys.argv[1]
    enabled, reasons = clouds.Kubernetes.check_credentials(clouds.CloudCapability.COMPUTE)
    nodes = utils.get_kubernetes_node_info(context).node_info_dict.values() if enabled else []
    print(json.dumps({
        'enabled': enabled,
        'reasons': str(reasons),
        'contexts': clouds.Kubernetes.existing_allowed_contexts(),
        'accelerators': [{'name': n.accelerator_type, 'count': n.total['accelerator_count']} for n in nodes if n.accelerator_type],
    }))


if __name__ == '__main__':
    main()
