// Package rke2config says what RKE2's releases accept in config.yaml: which keys they know, which of them skyctl sets
// itself, and which network plugins and ingress controllers they ship. It is pure.
package rke2config

import (
	"slices"
	"strconv"
	"strings"

	"github.com/sky-shift/skyctl/pkg/spelling"
)

// The keys that RKE2's servers and agents know, in releases 1.34 to 1.36 alike (rancher/rke2, branches release-1.34,
// release-1.35 and release-1.36: pkg/cli/cmds/server.go, agent.go and root.go, and the names of images in
// pkg/images/images.go). RKE2 only warns of others, so a misspelt one would be lost.
var (
	agentKeys = strings.Fields(`
		airgap-extra-registry bind-address container-runtime-endpoint data-dir debug default-runtime
		disable-default-registry-endpoint enable-pprof image-credential-provider-bin-dir
		image-credential-provider-config kube-proxy-arg kubelet-arg lb-server-port log alsologtostderr v vmodule
		node-external-dns node-external-ip node-internal-dns node-ip node-label node-name node-taint nonroot-devices
		private-registry protect-kernel-defaults resolv-conf selinux server snapshotter token token-file
		with-node-id config
		cloud-provider-name cloud-provider-config node-name-from-cloud-provider-metadata kubelet-path profile
		audit-policy-file pod-security-admission-config-file
		control-plane-resource-requests control-plane-resource-limits control-plane-probe-configuration
		runtime-image kube-apiserver-image kube-controller-manager-image kube-proxy-image kube-scheduler-image
		etcd-image pause-image cloud-controller-manager-image
		kube-apiserver-extra-mount kube-scheduler-extra-mount kube-controller-manager-extra-mount
		kube-proxy-extra-mount etcd-extra-mount cloud-controller-manager-extra-mount
		kube-apiserver-extra-env kube-scheduler-extra-env kube-controller-manager-extra-env kube-proxy-extra-env
		etcd-extra-env cloud-controller-manager-extra-env`)
	serverOnlyKeys = strings.Fields(`
		advertise-address agent-token agent-token-file cluster-cidr cluster-dns cluster-domain cluster-reset
		cluster-reset-restore-path cni datastore-cafile datastore-certfile datastore-endpoint datastore-keyfile disable
		disable-agent disable-apiserver disable-cloud-controller disable-controller-manager disable-etcd
		disable-kube-proxy disable-scheduler egress-selector-mode embedded-registry enable-servicelb etcd-arg
		etcd-disable-snapshots etcd-expose-metrics etcd-s3 etcd-s3-access-key etcd-s3-bucket
		etcd-s3-bucket-lookup-type etcd-s3-config-secret etcd-s3-endpoint etcd-s3-endpoint-ca etcd-s3-folder
		etcd-s3-insecure etcd-s3-proxy etcd-s3-region etcd-s3-retention etcd-s3-secret-key etcd-s3-session-token
		etcd-s3-skip-ssl-verify etcd-s3-timeout etcd-snapshot-compress etcd-snapshot-dir etcd-snapshot-name
		etcd-snapshot-reconcile-interval etcd-snapshot-retention etcd-snapshot-schedule-cron helm-controller-arg
		helm-job-image ingress-controller kube-apiserver-arg kube-cloud-controller-manager-arg
		kube-controller-manager-arg kube-scheduler-arg prime secrets-encryption secrets-encryption-provider service-cidr
		service-node-port-range servicelb-namespace supervisor-metrics system-default-registry tls-san
		tls-san-security write-kubeconfig write-kubeconfig-group write-kubeconfig-mode`)
)

// The reasons for which skyctl refuses keys.
const (
	perMachine    = "skyctl sets it for each machine"
	tokens        = "skyctl makes the tokens of a cluster and keeps them as secrets"
	inField       = "set it with "
	ownKubeconfig = "the administrator's kubeconfig on the server stays readable by root only"
	readsThere    = "skyctl reads the files of RKE2 where they are by default"
	wholeServer   = "the server of a cluster runs the whole control plane, with its own etcd"
	readsJournal  = "skyctl reads the log of RKE2 in the journal"
	cloudProvider = "RKE2 takes no external addresses with a cloud provider, and skyctl sets them"
	takesOwn      = "skyctl takes and restores the snapshots: see "
	reserves      = "skyctl reserves with it what a machine has beyond its request"
	cgroupFact    = "skyctl sets it where a machine needs it"
	podRange      = "it follows from network.max_nodes"
	serviceRange  = "Services have 10.43.0.0/16"
	ownContainerd = "the machines have RKE2's own containerd"
	fixedPorts    = "the machines of a cluster reach each other on RKE2's own ports"
)

// ownedKeys are the keys that skyctl sets or relies on, with what a person does instead.
var ownedKeys = map[string]string{
	"node-name": perMachine, "node-ip": perMachine, "node-external-ip": perMachine, "node-internal-dns": perMachine,
	"node-external-dns": perMachine, "with-node-id": perMachine, "advertise-address": perMachine, "server": perMachine,
	"bind-address": perMachine,
	"token":        tokens, "token-file": tokens, "agent-token": tokens, "agent-token-file": tokens,
	"node-label": inField + "the labels of a pool", "node-taint": inField + "the taints of a pool",
	"cni": inField + "network.cni", "ingress-controller": inField + "ingress",
	"enable-servicelb": inField + "enable_servicelb", "private-registry": inField + "rke2.registries",
	"cluster-cidr": podRange, "service-cidr": serviceRange,
	"data-dir": readsThere, "config": readsThere, "write-kubeconfig": readsThere,
	"write-kubeconfig-mode":  ownKubeconfig,
	"write-kubeconfig-group": ownKubeconfig, "container-runtime-endpoint": ownContainerd,
	"etcd-disable-snapshots": takesOwn + "snapshots.every", "etcd-snapshot-schedule-cron": takesOwn + "snapshots.every",
	"etcd-snapshot-retention": takesOwn + "snapshots.keep", "etcd-snapshot-dir": readsThere,
	"etcd-snapshot-name": readsThere, "etcd-snapshot-compress": readsThere,
	"cluster-reset": takesOwn + "skyctl restore", "cluster-reset-restore-path": takesOwn + "skyctl restore",
	"datastore-endpoint": wholeServer, "datastore-cafile": wholeServer, "datastore-certfile": wholeServer,
	"datastore-keyfile": wholeServer, "disable-agent": wholeServer, "disable-apiserver": wholeServer,
	"disable-etcd": wholeServer, "disable-controller-manager": wholeServer, "disable-scheduler": wholeServer,
	"disable-cloud-controller": wholeServer,
	"cloud-provider-name":      cloudProvider, "cloud-provider-config": cloudProvider,
	"node-name-from-cloud-provider-metadata": perMachine,
	"log":                                    readsJournal, "alsologtostderr": readsJournal,
}

// truthKeys are the keys whose values are true or false. RKE2 does not start with others (k3s-io/k3s and rancher/rke2,
// pkg/cli/cmds: the flags that are a BoolFlag; Go's strconv.ParseBool reads them).
var truthKeys = strings.Fields(`
	debug disable-default-registry-endpoint disable-kube-proxy embedded-registry enable-pprof etcd-expose-metrics
	nonroot-devices protect-kernel-defaults secrets-encryption selinux supervisor-metrics tls-san-security`)

// profiles are the values of the key profile; RKE2 does not start with others (rancher/rke2 release-1.34 to
// release-1.36, pkg/cli/cmds/profile_linux.go).
var profiles = []string{"cis", "etcd"}

// The keys with arguments of components, some of which skyctl sets or relies on.
const (
	profile       = "profile"
	kubeletArg    = "kubelet-arg"
	apiServerArg  = "kube-apiserver-arg"
	controllerArg = "kube-controller-manager-arg"
	kubeProxyArg  = "kube-proxy-arg"
	etcdArg       = "etcd-arg"
	tlsSAN        = "tls-san"
)

// ownedArgs are the arguments of components that skyctl sets or relies on, by key, with what a person does instead.
var ownedArgs = map[string]map[string]string{
	kubeletArg: {"eviction-hard": reserves, "system-reserved": reserves, "fail-cgroupv1": cgroupFact,
		"hostname-override": perMachine, "node-ip": perMachine, "register-node": perMachine,
		"node-labels": inField + "the labels of a pool", "register-with-taints": inField + "the taints of a pool",
		"port": fixedPorts, "root-dir": readsThere, "container-runtime-endpoint": ownContainerd},
	apiServerArg: {"advertise-address": perMachine, "bind-address": perMachine, "secure-port": fixedPorts,
		"etcd-servers": wholeServer, "service-cluster-ip-range": serviceRange},
	controllerArg: {"cluster-cidr": podRange, "node-cidr-mask-size": podRange, "node-cidr-mask-size-ipv4": podRange,
		"allocate-node-cidrs": podRange, "service-cluster-ip-range": serviceRange},
	kubeProxyArg: {"cluster-cidr": podRange, "hostname-override": perMachine},
	etcdArg: {"data-dir": readsThere, "name": perMachine, "listen-client-urls": perMachine,
		"listen-peer-urls": perMachine, "advertise-client-urls": perMachine, "initial-advertise-peer-urls": perMachine,
		"initial-cluster": wholeServer},
}

// MergedKeys are the keys whose values skyctl adds to its own.
var MergedKeys = []string{kubeletArg, controllerArg, tlsSAN}

// CheckKey returns what is wrong with a key for a person's configuration, as what would be right; empty if nothing is.
func CheckKey(key string) string {
	if why, owned := ownedKeys[key]; owned {
		return "the key left out: " + why
	}
	if strings.HasPrefix(key, "etcd-s3") {
		return "the key left out: " + takesOwn + "snapshots.s3_url"
	}
	if IsServerKey(key) {
		return ""
	}
	if near := spelling.FindNearest(key, settableKeys()); near != "" {
		return near + ", or another key of RKE2's configuration"
	}
	return "a key of RKE2's server or agent configuration, such as kube-apiserver-arg"
}

// CheckValue returns what is wrong with one value of a key, as CheckKey does. A "+" or "-" after the name of an
// argument has RKE2 append or prepend the value to its own (k3s-io/k3s, pkg/util/args.go: GetArgs).
func CheckValue(key, value string) string {
	if key == profile && !slices.Contains(profiles, value) {
		return strings.Join(profiles, " or ")
	}
	if slices.Contains(truthKeys, key) {
		if _, err := strconv.ParseBool(value); err != nil {
			return "true or false"
		}
	}
	name, _, _ := strings.Cut(value, "=")
	if why, owned := ownedArgs[key][strings.Trim(name, "-+")]; owned {
		return "another argument: " + why
	}
	return ""
}

// settableKeys are the keys that a person can set, sorted.
func settableKeys() []string {
	keys := slices.DeleteFunc(slices.Concat(agentKeys, serverOnlyKeys), func(key string) bool {
		_, owned := ownedKeys[key]
		return owned || strings.HasPrefix(key, "etcd-s3")
	})
	slices.Sort(keys)
	return keys
}

// IsServerKey reports whether servers know a key.
func IsServerKey(key string) bool { return IsAgentKey(key) || slices.Contains(serverOnlyKeys, key) }

// IsAgentKey reports whether agents know a key.
func IsAgentKey(key string) bool { return slices.Contains(agentKeys, key) }
