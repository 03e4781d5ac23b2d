"""What the SkyPilot API server of the tests is given beside its own clouds."""
from sky import provision
from sky.clouds import paperspace as paperspace_cloud
from sky.server import plugins

from skytest import paperspace


class SecondCloud(plugins.BasePlugin):
    """Makes Paperspace a cloud of Docker hosts: no SDK, no zones, no spot. No account is asked for."""

    def install(self, extension_context: plugins.ExtensionContext) -> None:
        del extension_context
        provision.register_provisioner('paperspace', paperspace)
        paperspace_cloud.Paperspace._check_compute_credentials = classmethod(  # pylint: disable=protected-access
            lambda cls: (True, None))
