// Package node runs what every node runs: containerd, the kubelet, kube-proxy and
// the routed pod network.
package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sky-shift/skyctl/test/rke2kit/internal/hostmode"
	"github.com/sky-shift/skyctl/test/rke2kit/internal/join"
	"github.com/sky-shift/skyctl/test/rke2kit/internal/kubeconfig"
	"github.com/sky-shift/skyctl/test/rke2kit/internal/logline"
	"github.com/sky-shift/skyctl/test/rke2kit/internal/pki"
	"github.com/sky-shift/skyctl/test/rke2kit/internal/proc"
	"github.com/sky-shift/skyctl/test/rke2kit/internal/staticpod"
	"github.com/sky-shift/skyctl/test/rke2kit/internal/supervisor"
	"github.com/sky-shift/skyctl/test/rke2kit/internal/token"
)

// PasswordFile holds what a node proves its name with.
const PasswordFile = "/etc/rancher/node/password"

// Options describe one node.
type Options struct {
	Name, IP      string
	DataDir       string // /var/lib/rancher/rke2
	ShareDir      string // <prefix>/share/rke2 of the release
	KubeBinary    string
	Labels        []string
	Taints        []string
	KubeletArgs   []string
	KubeProxyArgs []string
	NoKubeProxy   bool
	Version       string // of the release
	Requests      staticpod.Requests
}

// Node is one node's runtime.
type Node struct {
	opts  Options
	group *proc.Group
	agent string // directory of the agent's own files
	cgroups
	modes           hostmode.Modes
	kubeletInterval time.Duration
	// containers is closed when containerd answers and the images are in.
	containers chan struct{}
	runtimeErr error
}

// New prepares the directories and what a container used as a machine may lack.
func New(opts Options, group *proc.Group) (*Node, error) {
	n := &Node{opts: opts, group: group, agent: filepath.Join(opts.DataDir, "agent"), containers: make(chan struct{}),
		modes: hostmode.Host, kubeletInterval: kubeletInterval}
	for _, dir := range []string{n.agent, n.agentPath("etc"), n.agentPath("images"), n.agentPath("logs"),
		n.podManifests(), cniDir(n.agent)} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, fmt.Errorf("create node directory: %w", err)
		}
	}
	var err error
	if n.cgroups, err = detectCgroups(opts.Name); err != nil {
		return nil, err
	}
	if _, err := os.Lstat("/dev/kmsg"); errors.Is(err, fs.ErrNotExist) {
		// The kubelet's OOM watcher insists on the file; there is nothing to read.
		if err := os.Symlink("/dev/null", "/dev/kmsg"); err != nil {
			logline.Warnf("failed to make /dev/kmsg: %v", err)
		}
	}
	return n, nil
}

func (n *Node) agentPath(elem ...string) string {
	return filepath.Join(append([]string{n.agent}, elem...)...)
}

func (n *Node) podManifests() string { return n.agentPath("pod-manifests") }

func (n *Node) logPath(name string) string { return n.agentPath("logs", name+".log") }

// JoinTarget is what Options leave open until the server is known.
type JoinTarget struct {
	Server    string // supervisor, https://host:9345
	APIServer string // https://host:6443
	Token     string
}

// JoinCluster joins the cluster and starts the kubelet and kube-proxy. It returns
// when the kubelet answers.
func (n *Node) JoinCluster(ctx context.Context, j JoinTarget) error {
	password, err := ensureNodePassword(PasswordFile)
	if err != nil {
		return err
	}
	cluster, err := join.Run(ctx, join.Options{
		Server: j.Server, Token: j.Token, NodeName: n.opts.Name, NodeIP: n.opts.IP,
		NodePassword: password, PasswordFile: PasswordFile, Dir: n.agent,
	})
	if err != nil {
		return err
	}
	if err := n.writeKubeconfigs(j.APIServer); err != nil {
		return err
	}
	go n.maintainPodNetwork(ctx, j.APIServer, cluster)
	select {
	case <-n.containers:
	case <-ctx.Done():
		return ctx.Err()
	}
	if n.runtimeErr != nil {
		return n.runtimeErr
	}
	if err := n.AwaitHealthyKubelet(ctx); err != nil {
		return err
	}
	if err := n.startKubelet(ctx, cluster); err != nil {
		return err
	}
	if n.opts.NoKubeProxy {
		if err := staticpod.Remove(n.podManifests(), staticpod.KubeProxy); err != nil {
			return err
		}
	} else if err := n.startKubeProxy(ctx, cluster); err != nil {
		return err
	}
	return n.awaitKubelet(ctx)
}

// ensureNodePassword reads the node's password, made once in its life.
func ensureNodePassword(file string) (string, error) {
	data, err := os.ReadFile(file)
	if err == nil && len(strings.TrimSpace(string(data))) > 0 {
		return strings.TrimSpace(string(data)), nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read node password: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return "", fmt.Errorf("create directory of node password: %w", err)
	}
	password := token.NewPassword()
	return password, pki.WriteFile(file, []byte(password+"\n"), 0o600)
}

func (n *Node) writeKubeconfigs(apiServer string) error {
	for file, cert := range map[string]string{"kubelet.kubeconfig": join.ClientKubelet,
		"kubeproxy.kubeconfig": join.ClientKubeProxy} {
		data := kubeconfig.RenderWithFiles(apiServer, n.agentPath(join.ServerCAFile), n.agentPath(cert+".crt"),
			n.agentPath(cert+".key"))
		if err := pki.WriteFile(n.agentPath(file), data, 0o600); err != nil {
			return err
		}
	}
	return nil
}

func (n *Node) startKubeProxy(ctx context.Context, cluster supervisor.ClusterConfig) error {
	args := []string{
		staticpod.KubeProxy,
		"--kubeconfig=" + n.agentPath("kubeproxy.kubeconfig"),
		"--hostname-override=" + n.opts.Name,
		"--cluster-cidr=" + cluster.ClusterCIDR,
		"--proxy-mode=iptables",
		"--healthz-bind-address=127.0.0.1:10256",
		// A container used as a machine may not raise the kernel's limits.
		"--conntrack-max-per-core=0", "--conntrack-tcp-timeout-established=0s", "--conntrack-tcp-timeout-close-wait=0s",
	}
	args = append(args, toFlags(n.opts.KubeProxyArgs)...)
	pod := staticpod.Pod{Component: staticpod.KubeProxy, Node: n.opts.Name, Image: SandboxImage, Args: args,
		Requests: n.opts.Requests, Logs: staticpod.Logs}
	if err := pod.Write(n.podManifests()); err != nil {
		return err
	}
	return n.group.Start(ctx, proc.Spec{Name: staticpod.KubeProxy, Path: n.opts.KubeBinary, Args: args,
		Log: pod.LogFile(), PodLog: true})
}

// toFlags turns the k=v entries of a *-arg key into command-line flags.
func toFlags(entries []string) []string {
	out := make([]string, 0, len(entries))
	for _, e := range entries {
		out = append(out, "--"+strings.TrimLeft(e, "-"))
	}
	return out
}

func (n *Node) awaitKubelet(ctx context.Context) error {
	client := &http.Client{Timeout: time.Second}
	for {
		resp, err := client.Get("http://127.0.0.1:10248/healthz")
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// Stop ends the node's components. Pods run on, as they do when RKE2 stops.
func (n *Node) Stop() {
	n.group.Stop(3*time.Second, "kubelet", staticpod.KubeProxy)
	n.group.Stop(3*time.Second, "containerd")
}

// FindDefaultIP is the address this machine would reach the outside from, or its
// first address where there is no outside.
func FindDefaultIP() (string, error) {
	if conn, err := net.Dial("udp4", "192.0.2.1:9"); err == nil {
		defer conn.Close()
		return conn.LocalAddr().(*net.UDPAddr).IP.String(), nil
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return "", fmt.Errorf("list addresses: %w", err)
	}
	for _, a := range addrs {
		if ipnet, ok := a.(*net.IPNet); ok && ipnet.IP.To4() != nil && !ipnet.IP.IsLoopback() {
			return ipnet.IP.String(), nil
		}
	}
	return "", errors.New("no IPv4 address found: set node-ip")
}
