package head

import (
	"context"
	"fmt"
	"net"
	"strings"

	"github.com/sky-shift/skyctl/test/rke2kit/internal/pki"
	"github.com/sky-shift/skyctl/test/rke2kit/internal/proc"
)

const etcdClient = "127.0.0.1:2379"

func (h *Head) startComponent(ctx context.Context, name string, args, extra []string) error {
	all := append([]string{name}, args...)
	for _, e := range extra {
		all = append(all, "--"+strings.TrimLeft(e, "-"))
	}
	return h.group.Start(ctx, proc.Spec{Name: name, Path: h.opts.KubeBinary, Args: all,
		Log: h.serverPath("logs", name+".log")})
}

// startEtcd returns when the client port accepts connections; the apiserver
// waits for the rest itself, but is slow to retry a port that refused it.
func (h *Head) startEtcd(ctx context.Context) error {
	file := h.serverPath("db", "etcd.yaml")
	if err := pki.WriteFile(file, []byte(h.renderEtcdConfig()), 0o600); err != nil {
		return err
	}
	if err := h.startComponent(ctx, "etcd", []string{"--config-file=" + file}, nil); err != nil {
		return err
	}
	return h.awaitCondition(ctx, "etcd", func() error {
		conn, err := net.Dial("tcp", etcdClient)
		if err != nil {
			return err
		}
		return conn.Close()
	})
}

// renderEtcdConfig renders a single member's configuration. Writes are not forced to the disk: they
// outlive every process, if not the machine, and many clusters share one disk
// in tests.
func (h *Head) renderEtcdConfig() string {
	security := fmt.Sprintf("  cert-file: %q\n  key-file: %q\n  client-cert-auth: true\n  trusted-ca-file: %q\n",
		h.tlsPath("etcd/server.crt"), h.tlsPath("etcd/server.key"), h.tlsPath("etcd/server-ca.crt"))
	return fmt.Sprintf(`name: default
data-dir: %q
listen-client-urls: https://%s
advertise-client-urls: https://%s
listen-peer-urls: https://127.0.0.1:2380
initial-advertise-peer-urls: https://127.0.0.1:2380
initial-cluster: default=https://127.0.0.1:2380
listen-metrics-urls: http://127.0.0.1:2381
unsafe-no-fsync: true
auto-compaction-mode: periodic
auto-compaction-retention: 5m
log-level: warn
log-outputs: [stderr]
client-transport-security:
%speer-transport-security:
%s`, h.serverPath("db", "etcd"), etcdClient, etcdClient, security, security)
}

func (h *Head) startAPIServer(ctx context.Context) error {
	issuer := "https://kubernetes.default.svc." + h.opts.Cluster.ClusterDomain
	args := []string{
		"--advertise-address=" + h.opts.AdvertiseIP,
		"--allow-privileged=true",
		"--anonymous-auth=false",
		"--api-audiences=" + issuer + ",rke2",
		"--authorization-mode=Node,RBAC",
		"--bind-address=0.0.0.0",
		"--client-ca-file=" + h.tlsPath("client-ca.crt"),
		"--enable-admission-plugins=NodeRestriction",
		"--enable-bootstrap-token-auth=true",
		"--etcd-cafile=" + h.tlsPath("etcd/server-ca.crt"),
		"--etcd-certfile=" + h.tlsPath("etcd/client.crt"),
		"--etcd-keyfile=" + h.tlsPath("etcd/client.key"),
		"--etcd-servers=https://" + etcdClient,
		"--kubelet-certificate-authority=" + h.tlsPath("server-ca.crt"),
		"--kubelet-client-certificate=" + h.tlsPath("client-kube-apiserver.crt"),
		"--kubelet-client-key=" + h.tlsPath("client-kube-apiserver.key"),
		"--kubelet-preferred-address-types=InternalIP,ExternalIP,Hostname",
		"--profiling=false",
		"--proxy-client-cert-file=" + h.tlsPath("client-auth-proxy.crt"),
		"--proxy-client-key-file=" + h.tlsPath("client-auth-proxy.key"),
		"--requestheader-allowed-names=system:auth-proxy",
		"--requestheader-client-ca-file=" + h.tlsPath("request-header-ca.crt"),
		"--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--requestheader-group-headers=X-Remote-Group",
		"--requestheader-username-headers=X-Remote-User",
		"--secure-port=6443",
		"--service-account-issuer=" + issuer,
		"--service-account-key-file=" + h.tlsPath("service.key"),
		"--service-account-signing-key-file=" + h.tlsPath("service.key"),
		"--service-cluster-ip-range=" + h.opts.Cluster.ServiceCIDR,
		"--service-node-port-range=" + h.opts.NodePortRange,
		"--tls-cert-file=" + h.tlsPath("serving-kube-apiserver.crt"),
		"--tls-private-key-file=" + h.tlsPath("serving-kube-apiserver.key"),
	}
	return h.startComponent(ctx, "kube-apiserver", args, h.opts.APIServerArgs)
}

// startControllers starts both without leader election: there is one server.
func (h *Head) startControllers(ctx context.Context) error {
	// With a certificate they need not generate one, which takes long.
	serving := []string{
		"--bind-address=127.0.0.1",
		"--leader-elect=false",
		"--profiling=false",
		"--tls-cert-file=" + h.tlsPath("kube-loopback.crt"),
		"--tls-private-key-file=" + h.tlsPath("kube-loopback.key"),
	}
	controller := h.serverPath("cred", "controller.kubeconfig")
	args := append([]string{
		"--allocate-node-cidrs=true",
		"--cluster-cidr=" + h.opts.Cluster.ClusterCIDR,
		"--cluster-signing-cert-file=" + h.tlsPath("client-ca.crt"),
		"--cluster-signing-key-file=" + h.tlsPath("client-ca.key"),
		"--controllers=*,tokencleaner",
		"--authentication-kubeconfig=" + controller,
		"--authorization-kubeconfig=" + controller,
		// At the default rate creating the controllers' accounts takes seconds.
		"--kube-api-qps=500", "--kube-api-burst=1000",
		"--kubeconfig=" + controller,
		// Half of the defaults, with the kubelets' leases to match, so that tests see a Node NotReady sooner.
		"--node-monitor-grace-period=20s", "--node-monitor-period=2s",
		"--root-ca-file=" + h.tlsPath("server-ca.crt"),
		"--service-account-private-key-file=" + h.tlsPath("service.key"),
		"--service-cluster-ip-range=" + h.opts.Cluster.ServiceCIDR,
		"--use-service-account-credentials=true",
	}, serving...)
	if err := h.startComponent(ctx, "kube-controller-manager", args, h.opts.ControllerArgs); err != nil {
		return err
	}
	scheduler := h.serverPath("cred", "scheduler.kubeconfig")
	args = append([]string{
		"--authentication-kubeconfig=" + scheduler,
		"--authorization-kubeconfig=" + scheduler,
		"--kubeconfig=" + scheduler,
	}, serving...)
	return h.startComponent(ctx, "kube-scheduler", args, h.opts.SchedulerArgs)
}
