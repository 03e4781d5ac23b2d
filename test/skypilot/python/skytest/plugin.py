"""What the SkyPilot API server of the tests is given beside its own clouds."""
import dataclasses
from typing import Any

from sky import provision
from sky.clouds import paperspace as paperspace_cloud
from sky.provision import aws
from sky.provision import common
from sky.server import plugins

from skytest import paperspace


class SecondCloud(plugins.BasePlugin):
    """Makes Paperspace a cloud of Docker hosts: no SDK, no zones, no spot. No account is asked for."""

    def install(self, extension_context: plugins.ExtensionContext) -> None:
        del extension_context
        provision.register_provisioner('paperspace', paperspace)
        paperspace_cloud.Paperspace._check_compute_credentials = classmethod(  # pylint: disable=protected-access
            lambda cls: (True, None))


class _LeanAWS:
    """AWS as it is, without SkyPilot's runtime on the machines."""

    @staticmethod
    def run_instances(*args: Any, **kwargs: Any) -> common.ProvisionRecord:
        record = aws.run_instances(*args, **kwargs)
        return dataclasses.replace(record, runtime_metadata=paperspace.BARE)


class Lean(plugins.BasePlugin):
    """Leaves out what can't be installed offline: conda, Ray, skylet."""

    def install(self, extension_context: plugins.ExtensionContext) -> None:
        del extension_context
        provision.register_provisioner('aws', _LeanAWS)
