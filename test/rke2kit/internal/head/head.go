// Package head runs the control plane of a cluster's one server: its authorities
// and credentials, etcd, the apiserver and the controllers.
package head

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/sky-shift/skyctl/test/rke2kit/internal/bootstrap"
	"github.com/sky-shift/skyctl/test/rke2kit/internal/hostmode"
	"github.com/sky-shift/skyctl/test/rke2kit/internal/kubeapi"
	"github.com/sky-shift/skyctl/test/rke2kit/internal/kubeconfig"
	"github.com/sky-shift/skyctl/test/rke2kit/internal/logline"
	"github.com/sky-shift/skyctl/test/rke2kit/internal/pki"
	"github.com/sky-shift/skyctl/test/rke2kit/internal/proc"
	"github.com/sky-shift/skyctl/test/rke2kit/internal/snapshot"
	"github.com/sky-shift/skyctl/test/rke2kit/internal/staticpod"
	"github.com/sky-shift/skyctl/test/rke2kit/internal/supervisor"
)

// LocalAPI is the apiserver as the head itself reaches it, and as the kubeconfig
// names it.
const LocalAPI = "https://127.0.0.1:6443"

// Options describe the server.
type Options struct {
	NodeName         string
	NodeIP           string
	ExternalIP       string
	AdvertiseIP      string
	DataDir          string
	KubeBinary       string
	TLSSANs          []string
	Token            string // as configured; may be empty
	AgentToken       string
	Cluster          supervisor.ClusterConfig
	NodePortRange    string
	Kubeconfig       string // path, /etc/rancher/rke2/rke2.yaml
	KubeconfigMode   fs.FileMode
	APIServerArgs    []string
	ControllerArgs   []string
	SchedulerArgs    []string
	NoControllers    bool   // no kube-controller-manager
	NoScheduler      bool   // no kube-scheduler
	PodImage         string // of the placeholder pods
	PodLogs          string // directory of their logs, staticpod.Logs
	Requests         staticpod.Requests
	Fail             func(error)      // ends the process with an error
	Snapshots        snapshot.Options // the settings; Start adds what it knows
	serviceAddress   string           // of the service `kubernetes`
	serverCA, client *pki.CA
}

// Head is a running control plane.
type Head struct {
	opts       Options
	group      *proc.Group
	supervisor *supervisor.Supervisor
	api        *kubeapi.Client
	creds      credentials
	snapshots  *snapshot.Manager
	pods       *staticPods

	etcd            etcdAddresses
	member          string // etcd's name
	forceNewCluster bool
}

func newHead(opts Options, group *proc.Group) *Head {
	return &Head{opts: opts, group: group, pods: newStaticPods(opts.DataDir),
		etcd: etcdAddresses{client: "127.0.0.1:2379", peer: "127.0.0.1:2380", metrics: "127.0.0.1:2381"}}
}

// Start starts what the head's own node needs to join: port 9345, the token
// files and the kubeconfig. The rest is Run's.
func Start(ctx context.Context, opts Options, group *proc.Group) (*Head, error) {
	h := newHead(opts, group)
	var err error
	if h.opts.serviceAddress, err = firstServiceAddress(opts.Cluster.ServiceCIDR); err != nil {
		return nil, err
	}
	if err := h.reconcileBootstrap(); err != nil {
		return nil, err
	}
	if err := h.makeDirectories(); err != nil {
		return nil, err
	}
	if err := h.makeCertificates(); err != nil {
		return nil, err
	}
	if h.creds, err = h.settleCredentials(); err != nil {
		return nil, err
	}
	if h.snapshots, err = h.newSnapshots(); err != nil {
		return nil, err
	}
	h.supervisor, err = supervisor.Listen(ctx, supervisor.Options{
		ServerCA: h.opts.serverCA, ClientCA: h.opts.client,
		Hosts: h.servingHosts(), NodeName: opts.NodeName, APIServer: net.JoinHostPort(opts.AdvertiseIP, "6443"),
		NodePassword: h.creds.node, ServerPassword: h.creds.server, Cluster: opts.Cluster,
		Snapshots: h.snapshots,
	})
	if err != nil {
		return nil, err
	}
	if err := h.writeTokenFiles(); err != nil {
		return nil, err
	}
	return h, h.writeKubeconfigs()
}

func (h *Head) makeDirectories() error {
	for _, dir := range []string{h.serverPath("tls", "etcd"), h.serverPath("cred"), h.serverPath("db"),
		h.serverPath("logs"), h.serverPath("manifests"), filepath.Dir(h.opts.Kubeconfig)} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("create server directory: %w", err)
		}
	}
	return nil
}

// newSnapshots returns the manager of this server's snapshots.
func (h *Head) newSnapshots() (*snapshot.Manager, error) {
	client, err := h.newEtcdClient()
	if err != nil {
		return nil, err
	}
	o := h.opts.Snapshots
	o.ServerDir, o.NodeName, o.Etcd = h.serverPath(), h.opts.NodeName, client
	o.TokenHash = bootstrap.HashPassword(h.creds.server)
	return snapshot.New(o), nil
}

// AgentToken is what the head's own node joins with.
func (h *Head) AgentToken() string { return h.creds.agentToken() }

func (h *Head) serverPath(elem ...string) string {
	return filepath.Join(append([]string{h.opts.DataDir, "server"}, elem...)...)
}

func (h *Head) tlsPath(name string) string { return h.serverPath("tls", name) }

// Run starts the control plane and returns when agents can join.
func (h *Head) Run(ctx context.Context) error {
	wasReset, err := h.startDatastore(ctx)
	if err != nil {
		return err
	}
	if err := h.awaitRequestedDelay(ctx); err != nil {
		return err
	}
	if err := h.startAPIServer(ctx); err != nil {
		return err
	}
	if err := h.keepBootstrap(ctx); err != nil {
		return err
	}
	h.api, err = kubeapi.New(LocalAPI, h.tlsPath("server-ca.crt"), h.tlsPath("client-admin.crt"),
		h.tlsPath("client-admin.key"))
	if err != nil {
		return err
	}
	started := time.Now()
	if err := h.awaitCondition(ctx, "apiserver", func() error { return h.api.CheckReady(ctx) }); err != nil {
		return err
	}
	logline.Infof("Kube API server is now running (ready after %s)", time.Since(started).Round(time.Millisecond))
	if err := h.startControllers(ctx); err != nil {
		return err
	}
	if err := h.awaitCondition(ctx, "kube-system namespace",
		func() error { return h.ensureNamespace(ctx) }); err != nil {
		return err
	}
	if wasReset {
		// The snapshot may have another password of this node.
		h.supervisor.ForgetPassword(ctx, h.api, h.opts.NodeName)
	}
	h.supervisor.MarkCoreReady(h.api)
	logline.Infof("rke2 is up and running")
	go h.watchNodes(ctx)
	h.snapshots.Schedule(ctx)
	if err := h.applyAddons(ctx); err != nil {
		return err
	}
	go h.snapshots.ReconcileUntil(ctx, h.api)
	return h.startHelmController(ctx)
}

// awaitRequestedDelay waits as long as a test asks for with hostmode.SlowAPI.
func (h *Head) awaitRequestedDelay(ctx context.Context) error {
	started := time.Now()
	return h.awaitCondition(ctx, "API server to become available", func() error {
		if wait := hostmode.Host.Seconds(hostmode.SlowAPI) - time.Since(started); wait > 0 {
			return fmt.Errorf("%s left", wait.Round(time.Second))
		}
		return nil
	})
}

// awaitCondition retries every 25 ms until ctx ends, and logs every ten seconds what it
// waits for.
func (h *Head) awaitCondition(ctx context.Context, what string, ok func() error) error {
	spoken := time.Now()
	for {
		err := ok()
		if err == nil {
			return nil
		}
		if time.Since(spoken) > 10*time.Second {
			spoken = time.Now()
			logline.Infof("Waiting for %s: %v", what, err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(25 * time.Millisecond):
		}
	}
}

// ensureNamespace creates kube-system, which the apiserver creates only some time
// after it is ready; node passwords are kept there.
func (h *Head) ensureNamespace(ctx context.Context) error {
	namespace := map[string]any{"apiVersion": "v1", "kind": "Namespace",
		"metadata": map[string]string{"name": "kube-system"}}
	err := h.api.CallJSON(ctx, http.MethodPost, "/api/v1/namespaces", namespace, nil)
	if kubeapi.HasStatusCode(err, http.StatusConflict) {
		return nil
	}
	return err
}

// writeKubeconfigs writes the admin's file and those of the controllers.
func (h *Head) writeKubeconfigs() error {
	cert, err := os.ReadFile(h.tlsPath("client-admin.crt"))
	if err != nil {
		return fmt.Errorf("read admin certificate: %w", err)
	}
	key, err := os.ReadFile(h.tlsPath("client-admin.key"))
	if err != nil {
		return fmt.Errorf("read admin key: %w", err)
	}
	admin := kubeconfig.RenderEmbedded(LocalAPI, h.opts.serverCA.PEM, cert, key)
	if err := pki.WriteFile(h.opts.Kubeconfig, admin, h.opts.KubeconfigMode); err != nil {
		return err
	}
	logline.Infof("Wrote kubeconfig %s", h.opts.Kubeconfig)
	for name, client := range map[string]string{
		"controller": "client-controller", "scheduler": "client-scheduler", "helm-controller": "client-admin",
	} {
		data := kubeconfig.RenderWithFiles(LocalAPI, h.tlsPath("server-ca.crt"), h.tlsPath(client+".crt"),
			h.tlsPath(client+".key"))
		if err := pki.WriteFile(h.serverPath("cred", name+".kubeconfig"), data, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// Stop stops the control plane, etcd last because the other components need it.
func (h *Head) Stop() {
	// Watches delay the graceful shutdown of an apiserver far longer than any
	// request that writes.
	h.group.Stop(1500*time.Millisecond, staticpod.APIServer, staticpod.ControllerManager, staticpod.Scheduler,
		"helm-controller")
	h.group.Stop(etcdGrace, etcdComponent)
}

// ParseKubeconfigMode reads write-kubeconfig-mode; "" is 0600.
func ParseKubeconfigMode(s string) (fs.FileMode, error) {
	if s == "" {
		return 0o600, nil
	}
	mode, err := strconv.ParseUint(s, 8, 9)
	if err != nil {
		return 0, fmt.Errorf("write-kubeconfig-mode %q: want an octal file mode such as 0600", s)
	}
	return fs.FileMode(mode), nil
}

// firstServiceAddress is the first address of the service range.
func firstServiceAddress(cidr string) (string, error) { return addressInCIDR(cidr, 1) }

// ClusterDNSAddress is the tenth, where RKE2 puts the cluster's DNS.
func ClusterDNSAddress(cidr string) (string, error) { return addressInCIDR(cidr, 10) }

func addressInCIDR(cidr string, n byte) (string, error) {
	_, network, err := net.ParseCIDR(cidr)
	if err != nil {
		return "", fmt.Errorf("service-cidr: %w", err)
	}
	ip := network.IP.To4()
	if ip == nil {
		return "", errors.New("service-cidr: the kit knows IPv4 only")
	}
	return net.IPv4(ip[0], ip[1], ip[2], ip[3]+n).String(), nil
}
