package head

import (
	"context"
	"strings"

	"github.com/sky-shift/skyctl/test/rke2kit/internal/proc"
	"github.com/sky-shift/skyctl/test/rke2kit/internal/staticpod"
)

// startComponent starts what RKE2 runs as a static pod, and places its placeholder.
func (h *Head) startComponent(ctx context.Context, name string, args, extra []string) error {
	all := append([]string{name}, args...)
	for _, e := range extra {
		all = append(all, "--"+strings.TrimLeft(e, "-"))
	}
	pod := h.newPod(name, all)
	if err := h.pods.place(pod); err != nil {
		return err
	}
	return h.group.Start(ctx, proc.Spec{Name: name, Path: h.opts.KubeBinary, Args: all, Log: pod.LogFile(),
		PodLog: true})
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
		"--etcd-servers=https://" + h.etcd.client,
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
	return h.startComponent(ctx, staticpod.APIServer, args, h.opts.APIServerArgs)
}

// startControllers starts those that are not switched off, without leader election: there is one server.
func (h *Head) startControllers(ctx context.Context) error {
	if err := h.placeCloudController(); err != nil {
		return err
	}
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
	if !h.opts.NoControllers {
		if err := h.startComponent(ctx, staticpod.ControllerManager, args, h.opts.ControllerArgs); err != nil {
			return err
		}
	} else if err := h.pods.remove(staticpod.ControllerManager); err != nil {
		return err
	}
	if h.opts.NoScheduler {
		return h.pods.remove(staticpod.Scheduler)
	}
	scheduler := h.serverPath("cred", "scheduler.kubeconfig")
	args = append([]string{
		"--authentication-kubeconfig=" + scheduler,
		"--authorization-kubeconfig=" + scheduler,
		"--kubeconfig=" + scheduler,
	}, serving...)
	return h.startComponent(ctx, staticpod.Scheduler, args, h.opts.SchedulerArgs)
}
