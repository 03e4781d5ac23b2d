package config

// Role is what a node runs as: it decides which keys exist.
type Role string

// The two roles.
const (
	Server Role = "server"
	Agent  Role = "agent"
)

// nodeKeys are the keys the kit acts on in both roles.
var nodeKeys = newKeySet(
	"config", "data-dir", "kube-proxy-arg", "kubelet-arg", "node-external-ip", "node-ip", "node-label",
	"node-name", "node-taint", "server", "token", "token-file",
)

// serverKeys are those it acts on in the server role only.
var serverKeys = newKeySet(
	"advertise-address", "agent-token", "agent-token-file", "cluster-cidr", "cluster-dns", "cluster-domain",
	"cluster-reset", "cluster-reset-restore-path", "cni", "control-plane-resource-requests",
	"disable-cloud-controller", "disable-controller-manager", "disable-kube-proxy", "disable-scheduler",
	"etcd-disable-snapshots", "etcd-snapshot-compress", "etcd-snapshot-dir", "etcd-snapshot-name",
	"etcd-snapshot-reconcile-interval", "etcd-snapshot-retention", "etcd-snapshot-schedule-cron",
	"kube-apiserver-arg", "kube-controller-manager-arg", "kube-scheduler-arg", "service-cidr",
	"service-node-port-range", "tls-san", "write-kubeconfig", "write-kubeconfig-mode",
)

// Keys that RKE2 has and the kit does nothing with. They are told apart from
// unknown ones: a real node would take them.
var (
	inertNodeKeys = newKeySet(
		"cloud-provider-config", "cloud-provider-name", "container-runtime-endpoint", "debug",
		"image-credential-provider-bin-dir",
		"image-credential-provider-config", "lb-server-port", "node-external-dns", "node-internal-dns", "pause-image",
		"private-registry",
		"profile", "protect-kernel-defaults", "resolv-conf", "runtime-image", "selinux", "snapshotter",
		"system-default-registry", "with-node-id",
	)
	inertServerKeys = newKeySet(
		"audit-policy-file", "bind-address", "control-plane-resource-limits", "datastore-endpoint", "disable",
		"egress-selector-mode",
		"embedded-registry", "enable-servicelb", "etcd-arg", "etcd-expose-metrics", "etcd-s3", "etcd-s3-access-key",
		"etcd-s3-bucket", "etcd-s3-bucket-lookup-type", "etcd-s3-config-secret", "etcd-s3-endpoint",
		"etcd-s3-endpoint-ca", "etcd-s3-folder", "etcd-s3-insecure", "etcd-s3-proxy", "etcd-s3-region",
		"etcd-s3-retention", "etcd-s3-secret-key", "etcd-s3-session-token", "etcd-s3-skip-ssl-verify",
		"etcd-s3-timeout", "ingress-controller",
		"kube-cloud-controller-manager-arg",
		"secrets-encryption", "supervisor-metrics", "tls-san-security",
	)
)

func newKeySet(keys ...string) map[string]bool {
	m := make(map[string]bool, len(keys))
	for _, k := range keys {
		m[k] = true
	}
	return m
}

func (r Role) knowsKey(key string) bool {
	return nodeKeys[key] || r == Server && serverKeys[key] || r.isInertKey(key)
}

func (r Role) isInertKey(key string) bool {
	return inertNodeKeys[key] || r == Server && inertServerKeys[key]
}

// InertKeys lists the keys set in v that RKE2 would act on and the kit does not.
func (v Values) InertKeys(role Role) []string {
	var out []string
	for key := range v {
		if role.isInertKey(key) {
			out = append(out, key)
		}
	}
	return out
}
