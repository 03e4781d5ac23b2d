package node

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"syscall"
	"time"

	"github.com/sky-shift/skyctl/test/rke2kit/internal/logline"
	"github.com/sky-shift/skyctl/test/rke2kit/internal/pki"
	"github.com/sky-shift/skyctl/test/rke2kit/internal/proc"
)

const (
	containerdSocket = "/run/k3s/containerd/containerd.sock"
	containerdState  = "/run/k3s/containerd"
	// SandboxImage is the pause image; the release carries it.
	SandboxImage = "docker.io/rke2kit/pause:kit"
	// HelmJobImage is that of HelmCharts' Jobs, which bring what they run from the node.
	HelmJobImage       = "docker.io/rke2kit/klipper-helm:kit"
	socketPollInterval = 20 * time.Millisecond
	socketTimeout      = 60 * time.Second
)

// StartContainerRuntime starts containerd and imports the images in the background.
// JoinCluster waits for it. Fail ends the process with an error.
func (n *Node) StartContainerRuntime(ctx context.Context, fail func(error)) {
	go func() {
		defer close(n.containers)
		if err := n.pullRuntimeImage(ctx); err != nil {
			fail(err)
			return
		}
		if err := n.startContainerd(ctx); err != nil {
			n.runtimeErr = err
			return
		}
		n.importImages(ctx)
	}()
}

func (n *Node) startContainerd(ctx context.Context) error {
	path, err := exec.LookPath("containerd")
	if err != nil {
		return fmt.Errorf("find containerd: %w; the kit uses the distribution's: install containerd, runc and "+
			"containernetworking-plugins", err)
	}
	binDir, err := findCNIBinDir()
	if err != nil {
		return err
	}
	root := n.agentPath("containerd")
	if err := os.MkdirAll(root, 0o700); err != nil {
		return fmt.Errorf("create containerd's directory: %w", err)
	}
	file := n.agentPath("etc", "containerd.toml")
	config := renderContainerdConfig(root, chooseSnapshotter(root), binDir, cniDir(n.agent),
		n.cgroups.driver == driverSystemd) +
		renderNvidiaRuntime("/", n.cgroups.driver == driverSystemd)
	if err := pki.WriteFile(file, []byte(config), 0o600); err != nil {
		return err
	}
	err = n.group.Start(ctx, proc.Spec{
		Name: "containerd", Path: path, Args: []string{"--config", file},
		Log: n.agentPath("containerd", "containerd.log"),
	})
	if err != nil {
		return err
	}
	deadline := time.Now().Add(socketTimeout)
	for {
		conn, err := net.Dial("unix", containerdSocket)
		if err == nil {
			return conn.Close()
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("containerd does not answer after %s: %w; its log is %s", socketTimeout, err,
				n.agentPath("containerd", "containerd.log"))
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(socketPollInterval):
		}
	}
}

func renderContainerdConfig(root, snapshotter, binDir, confDir string, systemdCgroup bool) string {
	return fmt.Sprintf(`version = 2
root = %q
state = %q
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs", "io.containerd.tracing.processor.v1.otlp", "io.containerd.internal.v1.tracing",
]

[grpc]
  address = %q

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = %q
  # Lowering a score takes a capability that a container used as a machine may lack.
  restrict_oom_score_adj = true

[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = %q
  conf_dir = %q

[plugins."io.containerd.grpc.v1.cri".containerd]
  snapshotter = %q

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
  SystemdCgroup = %t
`, root, containerdState, containerdSocket, SandboxImage, binDir, confDir, snapshotter, systemdCgroup)
}

// renderNvidiaRuntime is the handler of the RuntimeClass nvidia, where NVIDIA's runtime is on the machine. RKE2 looks
// for it in these places, at its start only (https://docs.rke2.io/advanced#deploy-nvidia-operator).
func renderNvidiaRuntime(root string, systemdCgroup bool) string {
	for _, dir := range []string{"usr/local/nvidia/toolkit", "usr/bin"} {
		binary := filepath.Join(root, dir, "nvidia-container-runtime")
		if info, err := os.Stat(binary); err != nil || info.IsDir() {
			continue
		}
		logline.Infof("Found nvidia container runtime at %s", binary)
		return fmt.Sprintf(`
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.nvidia]
  runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.nvidia.options]
  BinaryName = %q
  SystemdCgroup = %t
`, binary, systemdCgroup)
	}
	return ""
}

// chooseSnapshotter tries whether overlay works where containerd keeps its layers: it
// does not upon another overlay.
func chooseSnapshotter(root string) string {
	dir, err := os.MkdirTemp(root, ".overlay-*")
	if err != nil {
		return "native"
	}
	defer os.RemoveAll(dir)
	for _, sub := range []string{"lower", "upper", "work", "merged"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o700); err != nil {
			return "native"
		}
	}
	options := fmt.Sprintf("lowerdir=%s/lower,upperdir=%s/upper,workdir=%s/work", dir, dir, dir)
	if err := syscall.Mount("overlay", filepath.Join(dir, "merged"), "overlay", 0, options); err != nil {
		logline.Warnf("overlay does not work in %s (%v); layers are copied instead", root, err)
		return "native"
	}
	_ = syscall.Unmount(filepath.Join(dir, "merged"), syscall.MNT_DETACH)
	return "overlayfs"
}

// importImages loads the release's own images and those an operator put into
// agent/images, as RKE2 does at each start. One that can't be read is reported
// and passed over.
func (n *Node) importImages(ctx context.Context) {
	for _, dir := range []string{filepath.Join(n.opts.ShareDir, "images"), n.agentPath("images")} {
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue
		}
		var files []string
		for _, e := range entries {
			if isImageArchive(e.Name()) {
				files = append(files, filepath.Join(dir, e.Name()))
			}
		}
		sort.Strings(files)
		for _, file := range files {
			started := time.Now()
			out, err := exec.CommandContext(ctx, "ctr", "--address", containerdSocket, "--namespace", "k8s.io",
				"images", "import", file).CombinedOutput()
			if err != nil {
				logline.Errorf("failed to import images from %s: %v: %s", file, err, strings.TrimSpace(string(out)))
				continue
			}
			logline.Infof("Imported images from %s in %s", file, time.Since(started).Round(time.Millisecond))
		}
	}
}

func isImageArchive(name string) bool {
	for _, suffix := range []string{".tar", ".tar.gz", ".tgz", ".tar.zst"} {
		if strings.HasSuffix(name, suffix) {
			return true
		}
	}
	return false
}
