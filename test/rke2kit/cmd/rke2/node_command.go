package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/sky-shift/skyctl/test/rke2kit/internal/config"
	"github.com/sky-shift/skyctl/test/rke2kit/internal/head"
	"github.com/sky-shift/skyctl/test/rke2kit/internal/logline"
	"github.com/sky-shift/skyctl/test/rke2kit/internal/node"
	"github.com/sky-shift/skyctl/test/rke2kit/internal/proc"
	"github.com/sky-shift/skyctl/test/rke2kit/internal/staticpod"
	"github.com/sky-shift/skyctl/test/rke2kit/internal/supervisor"
)

const (
	defaultDataDir    = "/var/lib/rancher/rke2"
	defaultKubeconfig = "/etc/rancher/rke2/rke2.yaml"
	// pidDir is in /run: pids mean nothing after a reboot.
	pidDir = "/run/rke2kit"
	// reapCommand ends components without a supervisor; the units call it.
	reapCommand = "reap-components"
)

// runNode runs a server or an agent until ctx ends.
func runNode(ctx context.Context, role config.Role, args []string) error {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	err := runUntilFailure(ctx, fail, role, args)
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		// As k3s pkg/signals/signals.go logs what ends a process of RKE2.
		logline.Errorf("Shutdown request received: %q", cause)
		return cause
	}
	return err
}

func runUntilFailure(ctx context.Context, fail func(error), role config.Role, args []string) error {
	logline.Infof("Starting rke2 %s %s (%s), the offline kit of skyctl", role, version, commit)
	values, err := loadConfig(role, args)
	if err != nil {
		return err
	}
	settings, err := readSettings(values, role)
	if err != nil {
		return err
	}
	unlock, err := lockDataDir(settings.node.DataDir)
	if err != nil {
		return err
	}
	defer unlock()
	if err := proc.KillLeftovers(pidDir); err != nil {
		return err
	}
	group, err := proc.NewGroup(pidDir)
	if err != nil {
		return err
	}
	if err := linkBinaries(settings.node.DataDir, settings.node.KubeBinary); err != nil {
		return err
	}
	if settings.reset {
		return head.Reset(ctx, settings.head, settings.restorePath, group)
	}
	n, err := node.New(settings.node, group)
	if err != nil {
		return err
	}
	defer n.Stop()
	n.StartContainerRuntime(ctx, fail)
	if role == config.Server {
		settings.head.Fail = fail
		return runServer(ctx, settings, group, n)
	}
	return joinAndWait(ctx, n, settings.join)
}

func runServer(ctx context.Context, s settings, group *proc.Group, n *node.Node) error {
	h, err := head.Start(ctx, s.head, group)
	if err != nil {
		return err
	}
	defer h.Stop()
	failed := make(chan error, 1)
	go func() {
		err := n.AwaitHealthyKubelet(ctx)
		if err == nil {
			err = h.Run(ctx)
		}
		failed <- err
	}()
	entered := make(chan error, 1)
	go func() {
		entered <- joinAndWait(ctx, n, node.JoinTarget{
			Server: "https://127.0.0.1:" + supervisor.Port, APIServer: head.LocalAPI, Token: h.AgentToken(),
		})
	}()
	select {
	case err = <-failed:
		if err != nil {
			return err
		}
		return <-entered
	case err = <-entered:
		return err
	}
}

// joinAndWait joins, tells systemd and stays.
func joinAndWait(ctx context.Context, n *node.Node, j node.JoinTarget) error {
	if err := n.JoinCluster(ctx, j); err != nil {
		return err
	}
	logline.Infof("The kubelet is up")
	notifySystemd("READY=1")
	<-ctx.Done()
	logline.Infof("Stopping; pods run on")
	return ctx.Err()
}

func loadConfig(role config.Role, args []string) (config.Values, error) {
	fromArgs := config.Values{}
	if err := fromArgs.OverrideWithArgs(args, role); err != nil {
		return nil, err
	}
	values, warnings, err := config.Load(fromArgs.LastValue("config", config.DefaultFile), role)
	if err != nil {
		return nil, err
	}
	for _, w := range warnings {
		logline.Warnf("%s", w)
	}
	for key, list := range fromArgs {
		values[key] = list
	}
	for key, variable := range map[string]string{"token": "RKE2_TOKEN", "server": "RKE2_URL"} {
		if v := os.Getenv(variable); v != "" && values.LastValue(key, "") == "" {
			values[key] = []string{v}
		}
	}
	for _, key := range values.InertKeys(role) {
		logline.Warnf("The kit does not implement --%s, ignoring it", key)
	}
	return values, nil
}

// settings is a configuration made whole.
type settings struct {
	node node.Options
	head head.Options
	join node.JoinTarget
	// reset makes the server's etcd a cluster of its own, from the snapshot at restorePath if there is one, and ends.
	reset       bool
	restorePath string
}

func readSettings(v config.Values, role config.Role) (settings, error) {
	var s settings
	tok, err := v.ReadSecret("token")
	if err != nil {
		return s, err
	}
	server := v.LastValue("server", "")
	if role == config.Agent {
		if s.join, err = newAgentJoin(server, tok); err != nil {
			return s, err
		}
	} else if err = s.readReset(v, server); err != nil {
		return s, err
	} else if server != "" {
		return s, errors.New("the kit has one server only: --server can be given to an agent, not to a further server")
	}
	if s.node, err = newNodeOptions(v); err != nil {
		return s, err
	}
	if role == config.Server {
		if s.head, err = newHeadOptions(v, s.node, tok); err != nil {
			return s, err
		}
		err = s.readDisabled(v)
	}
	return s, err
}

// readDisabled reads which components do not run on a server.
func (s *settings) readDisabled(v config.Values) error {
	for key, off := range map[string]*bool{"disable-cloud-controller": &s.head.Cluster.NoCloudController,
		"disable-controller-manager": &s.head.NoControllers,
		"disable-scheduler":          &s.head.NoScheduler, "disable-kube-proxy": &s.node.NoKubeProxy} {
		var err error
		if *off, err = v.Switch(key); err != nil {
			return err
		}
	}
	return nil
}

// readReset reads what is asked for beside running a server.
func (s *settings) readReset(v config.Values, server string) error {
	var err error
	if s.reset, err = v.Switch("cluster-reset"); err != nil {
		return err
	}
	s.restorePath = v.LastValue("cluster-reset-restore-path", "")
	if s.restorePath != "" && !s.reset {
		return errors.New("invalid flag use; --cluster-reset required with --cluster-reset-restore-path")
	}
	if s.reset && server != "" {
		return errors.New("cannot perform cluster-reset while server URL is set - remove server from configuration " +
			"before resetting")
	}
	return nil
}

func newAgentJoin(server, tok string) (node.JoinTarget, error) {
	if tok == "" {
		return node.JoinTarget{}, errors.New("--token is required")
	}
	if server == "" {
		return node.JoinTarget{}, errors.New("--server is required")
	}
	u, err := url.Parse(server)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" {
		return node.JoinTarget{}, fmt.Errorf("--server: %q is not of the form https://host:%s", server, supervisor.Port)
	}
	return node.JoinTarget{Server: server, APIServer: "https://" + net.JoinHostPort(u.Hostname(), "6443"), Token: tok},
		nil
}

func newNodeOptions(v config.Values) (node.Options, error) {
	name := v.LastValue("node-name", "")
	if name == "" {
		host, err := os.Hostname()
		if err != nil {
			return node.Options{}, fmt.Errorf("find hostname: %w", err)
		}
		name = host
	}
	ip := v.LastValue("node-ip", "")
	if ip == "" {
		found, err := node.FindDefaultIP()
		if err != nil {
			return node.Options{}, err
		}
		ip = found
	}
	self, err := os.Executable()
	if err != nil {
		return node.Options{}, fmt.Errorf("find own binary: %w", err)
	}
	requests, err := staticpod.ParseRequests(v.AllValues("control-plane-resource-requests"))
	if err != nil {
		return node.Options{}, err
	}
	share := filepath.Join(filepath.Dir(filepath.Dir(self)), "share", "rke2")
	return node.Options{
		Name: strings.ToLower(name), IP: ip,
		DataDir:  v.LastValue("data-dir", defaultDataDir),
		ShareDir: share, KubeBinary: filepath.Join(share, "bin", "kube"),
		Labels: v.AllValues("node-label"), Taints: v.AllValues("node-taint"),
		KubeletArgs: v["kubelet-arg"], KubeProxyArgs: v["kube-proxy-arg"],
		Version: version, Requests: requests,
	}, nil
}

func newHeadOptions(v config.Values, n node.Options, tok string) (head.Options, error) {
	agentToken, err := v.ReadSecret("agent-token")
	if err != nil {
		return head.Options{}, err
	}
	mode, err := head.ParseKubeconfigMode(v.LastValue("write-kubeconfig-mode", ""))
	if err != nil {
		return head.Options{}, err
	}
	external := v.LastValue("node-external-ip", "")
	advertise := v.LastValue("advertise-address", external)
	if advertise == "" {
		advertise = n.IP
	}
	serviceCIDR := v.LastValue("service-cidr", "10.43.0.0/16")
	dns, err := head.ClusterDNSAddress(serviceCIDR)
	if err != nil {
		return head.Options{}, err
	}
	snapshots, err := newSnapshotOptions(v)
	if err != nil {
		return head.Options{}, err
	}
	return head.Options{
		Snapshots: snapshots,
		NodeName:  n.Name, NodeIP: n.IP, ExternalIP: external, AdvertiseIP: advertise,
		DataDir: n.DataDir, KubeBinary: n.KubeBinary, TLSSANs: v.AllValues("tls-san"), Token: tok,
		AgentToken: agentToken,
		Cluster: supervisor.ClusterConfig{
			ClusterCIDR: v.LastValue("cluster-cidr", "10.42.0.0/16"), ServiceCIDR: serviceCIDR,
			ClusterDNS: v.LastValue("cluster-dns", dns), ClusterDomain: v.LastValue("cluster-domain", "cluster.local"),
			CNI: v.LastValue("cni", ""),
		},
		NodePortRange: v.LastValue("service-node-port-range", "30000-32767"),
		Kubeconfig:    v.LastValue("write-kubeconfig", defaultKubeconfig), KubeconfigMode: mode,
		APIServerArgs: v["kube-apiserver-arg"], ControllerArgs: v["kube-controller-manager-arg"],
		SchedulerArgs: v["kube-scheduler-arg"], PodImage: node.SandboxImage, PodLogs: staticpod.Logs,
		Requests: n.Requests,
	}, nil
}

// lockDataDir keeps a second supervisor from taking the first one's components for
// leftovers. The kernel drops it with the process.
func lockDataDir(dataDir string) (func(), error) {
	if err := os.MkdirAll(dataDir, 0o755); err != nil {
		return nil, fmt.Errorf("create data directory: %w", err)
	}
	file, err := os.OpenFile(filepath.Join(dataDir, ".lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock: %w", err)
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		file.Close()
		return nil, fmt.Errorf("another rke2 runs on %s", dataDir)
	}
	return func() { file.Close() }, nil
}

// linkBinaries puts kubectl and the others where RKE2 has them.
func linkBinaries(dataDir, kube string) error {
	dir := filepath.Join(dataDir, "bin")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("create directory of binaries: %w", err)
	}
	for name, target := range map[string]string{"kubectl": kube, "kubelet": kube, "containerd": "/usr/bin/containerd",
		"ctr": "/usr/bin/ctr"} {
		link := filepath.Join(dir, name)
		if have, err := os.Readlink(link); err == nil && have == target {
			continue
		}
		_ = os.Remove(link)
		if err := os.Symlink(target, link); err != nil {
			return fmt.Errorf("link %s: %w", name, err)
		}
	}
	return nil
}

// notifySystemd speaks to systemd, where it started this process.
func notifySystemd(state string) {
	socket := os.Getenv("NOTIFY_SOCKET")
	if socket == "" {
		return
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		logline.Warnf("failed to notify systemd: %v", err)
		return
	}
	defer conn.Close()
	if _, err := conn.Write([]byte(state)); err != nil {
		logline.Warnf("failed to notify systemd: %v", err)
	}
}
