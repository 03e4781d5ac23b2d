package docker

import (
	"testing"

	"github.com/sky-shift/skyctl/pkg/cloud"
)

// Labels stand on hosts that earlier versions launched, and later ones have to read them.
func TestLabelsOfHostsDoNotChange(t *testing.T) {
	for got, want := range map[string]string{
		labelCPUs: "skyctl-cpus", labelMemoryGiB: "skyctl-memory-gib", labelHostKey: "skyctl-host-key",
		labelMachine: "skyctl-machine", cloud.LabelInstallation: "skyctl-installation",
		cloud.LabelCluster: "skyctl-cluster", cloud.LabelClusterUID: "skyctl-cluster-uid",
		cloud.LabelIndex: "skyctl-index", cloud.LabelIncarnation: "skyctl-incarnation",
	} {
		if got != want {
			t.Errorf("the label is %q, want %q", got, want)
		}
	}
}
