"""The plugin that adds the second cloud to the tests' SkyPilot API server."""
from sky import provision
from sky.clouds import paperspace as paperspace_cloud
from sky.server import plugins

from skytest import paperspace


class SecondCloud(plugins.BasePlugin):
    """Makes Paperspace a cloud of Docker hosts: no SDK, no zones, no spot. It needs no account."""

    def install(self, extension_context: plugins.ExtensionContext) -> None:
        del extension_context
        provision.register_provisioner('paperspace', paperspace)
        paperspace_cloud.Paperspace._check_compute_credentials = classmethod(  # pylint: disable=protected-access
            lambda cls: (True, None))
