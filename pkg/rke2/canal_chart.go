package rke2

import (
	"fmt"
	"strings"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/rke2config"
)

// canalManifest configures the chart of canal. RKE2 applies the files of this directory when it starts
// (docs.rke2.io/add-ons/helm).
const canalManifest = manifestsDir + "/skyctl-rke2-canal.yaml"

const manifestsDir = serverDir + "/manifests"

// Sizes of packets, in bytes. chartPodMTU is what canal's chart sets for the interfaces of pods, whatever the machine's
// own interface has (rancher/rke2-charts packages/rke2-canal/charts/values.yaml, calico.vethuMTU). flannel makes the
// tunnel between machines smaller than their interface: by 50 for VXLAN, by 80 for WireGuard (flannel
// pkg/backend/{vxlan,wireguard}/device.go).
const (
	chartPodMTU       = 1450
	ethernetMTU       = 1500
	vxlanOverhead     = 50
	wireguardOverhead = 80
)

// PodMTU is the size of packets of pods, in bytes, on a machine whose interface takes packets of nic; if nic is 0, it
// is that of canal's chart.
func PodMTU(nic int, encrypted bool) int {
	if nic <= 0 {
		nic = ethernetMTU
	}
	if encrypted {
		return nic - wireguardOverhead
	}
	return nic - vxlanOverhead
}

// renderCanalConfig renders canalManifest for a server; nothing if canal's chart is right as it is.
func renderCanalConfig(n Node, f Facts) []byte {
	if n.Role != api.RoleHead || n.CNI != "" && n.CNI != rke2config.DefaultCNI {
		return nil
	}
	mtu := PodMTU(f.MTU, n.EncryptPods)
	if mtu == chartPodMTU && !n.EncryptPods {
		return nil
	}
	values := fmt.Sprintf("    calico:\n      vethuMTU: %d\n", mtu)
	if n.EncryptPods {
		values += "    flannel:\n      backend: wireguard\n"
	}
	return []byte(writtenBySkyctl + `apiVersion: helm.cattle.io/v1
kind: HelmChartConfig
metadata:
  name: rke2-canal
  namespace: kube-system
spec:
  valuesContent: |
` + values)
}

// receiveCanalConfig reads canalManifest in the way of renderReceiveFiles. A server that has data keeps what it was
// first started with, because a network plugin does not change while pods run; so does an image that configures canal
// itself.
var receiveCanalConfig = strings.NewReplacer("MANIFESTS", manifestsDir, "CANAL", canalManifest, "ETCD", etcdDir,
	"SERVER", serverDir, "UNUSED", "/etc/rancher/rke2/skyctl-unused").Replace(`
canal=CANAL; was=${changed:-0}
if [ -d ETCD/member ] || grep -ls 'name: *rke2-canal' MANIFESTS/*.yaml | grep -vqx CANAL; then
  canal=UNUSED
fi
receive_file "$canal"
if [ "$canal" = UNUSED ]; then changed=$was; rm -f UNUSED
elif [ -d SERVER ]; then chmod 0700 SERVER; fi
`)
