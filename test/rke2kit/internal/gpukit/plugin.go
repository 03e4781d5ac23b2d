package gpukit

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	pluginapi "k8s.io/kubelet/pkg/apis/deviceplugin/v1beta1"
)

// ResourceName is the accelerators' resource name in Kubernetes.
const ResourceName = "nvidia.com/gpu"

const (
	// pluginSocket has the real plugin's name, so that two plugins on a node conflict.
	pluginSocket = "nvidia-gpu.sock"
	pluginPoll   = 500 * time.Millisecond
)

// Plugin is a device plugin.
type Plugin struct {
	pluginapi.UnimplementedDevicePluginServer
	// HostDir defines the number of devices, SocketDir has the kubelet's socket, Node makes the devices' names unique.
	HostDir, SocketDir, Node string

	mu      sync.Mutex
	machine machine
	changed chan struct{}
}

// Run serves the kubelet until ctx ends. A restarted kubelet creates a new socket and needs a new registration.
func (p *Plugin) Run(ctx context.Context) error {
	p.changed = make(chan struct{})
	m, err := readMachine(p.HostDir)
	if err != nil {
		return err
	}
	p.machine = m
	for ctx.Err() == nil {
		if err := p.serveKubelet(ctx); err != nil && ctx.Err() == nil {
			return err
		}
	}
	return nil
}

// serveKubelet registers once and returns when the kubelet restarts or the plugin's socket is gone or replaced.
func (p *Plugin) serveKubelet(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	own := filepath.Join(p.SocketDir, pluginSocket)
	if err := os.Remove(own); err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("remove socket: %w", err)
	}
	listener, err := net.Listen("unix", own)
	if err != nil {
		return fmt.Errorf("listen for the kubelet: %w", err)
	}
	server := grpc.NewServer()
	pluginapi.RegisterDevicePluginServer(server, p)
	go func() { _ = server.Serve(listener) }()
	defer server.Stop()
	kubelet := filepath.Join(p.SocketDir, "kubelet.sock")
	before := socketIdentity(kubelet)
	if err := p.registerWithKubelet(ctx, kubelet); err != nil {
		fmt.Printf("cannot register with the kubelet yet: %v\n", err)
		return pollUntil(ctx, pluginPoll, func() (bool, error) { return true, sleepFor(ctx, time.Second) })
	}
	mine := socketIdentity(own)
	fmt.Printf("Registered device plugin for '%s' with Kubelet: %d devices\n", ResourceName, p.currentMachine().gpus)
	return pollUntil(ctx, pluginPoll, func() (bool, error) {
		if err := crashIfRequested(os.Stderr, p.HostDir, "device-plugin"); err != nil {
			return false, err
		}
		p.refreshMachine()
		if socketIdentity(kubelet) != before {
			fmt.Println("the kubelet restarted, registering again")
			return true, nil
		}
		return socketIdentity(own) != mine, nil
	})
}

// socketIdentity distinguishes sockets of the same name; it is empty if there is none. Inode numbers alone are not
// enough, as they are reused.
func socketIdentity(socket string) string {
	info, err := os.Stat(socket)
	if err != nil {
		return ""
	}
	stat, _ := info.Sys().(*syscall.Stat_t)
	return fmt.Sprint(stat.Ino, info.ModTime())
}

func sleepFor(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *Plugin) registerWithKubelet(ctx context.Context, kubelet string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	conn, err := grpc.NewClient("unix://"+kubelet, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = pluginapi.NewRegistrationClient(conn).Register(ctx, &pluginapi.RegisterRequest{
		Version: pluginapi.Version, Endpoint: pluginSocket, ResourceName: ResourceName,
		Options: &pluginapi.DevicePluginOptions{},
	})
	return err
}

// refreshMachine picks up changes of the machine's file. It ignores a file that it cannot read.
func (p *Plugin) refreshMachine() {
	m, err := readMachine(p.HostDir)
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil || m == p.machine {
		return
	}
	fmt.Printf("%d devices now, %d before\n", m.gpus, p.machine.gpus)
	p.machine = m
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *Plugin) currentMachine() machine {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.machine
}

// listDevices names devices after node and index, so that a device keeps its name.
func (p *Plugin) listDevices() ([]*pluginapi.Device, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	devices := make([]*pluginapi.Device, p.machine.gpus)
	for i := range devices {
		sum := sha256.Sum256(fmt.Appendf(nil, "%s/%d", p.Node, i))
		id := fmt.Sprintf("GPU-%x-%x-%x-%x-%x", sum[:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
		devices[i] = &pluginapi.Device{ID: id, Health: pluginapi.Healthy}
	}
	return devices, p.changed
}

// GetDevicePluginOptions asks the kubelet for no further calls.
func (p *Plugin) GetDevicePluginOptions(context.Context, *pluginapi.Empty) (*pluginapi.DevicePluginOptions, error) {
	return &pluginapi.DevicePluginOptions{}, nil
}

// ListAndWatch sends the devices to the kubelet, now and whenever they change.
func (p *Plugin) ListAndWatch(_ *pluginapi.Empty,
	stream grpc.ServerStreamingServer[pluginapi.ListAndWatchResponse]) error {
	for {
		devices, changed := p.listDevices()
		if err := stream.Send(&pluginapi.ListAndWatchResponse{Devices: devices}); err != nil {
			return err
		}
		select {
		case <-changed:
		case <-stream.Context().Done():
			return nil
		}
	}
}

// Allocate passes a container its devices in the variable that NVIDIA's runtime reads.
func (p *Plugin) Allocate(_ context.Context, in *pluginapi.AllocateRequest) (*pluginapi.AllocateResponse, error) {
	out := &pluginapi.AllocateResponse{}
	for _, container := range in.GetContainerRequests() {
		out.ContainerResponses = append(out.ContainerResponses, &pluginapi.ContainerAllocateResponse{
			Envs: map[string]string{"NVIDIA_VISIBLE_DEVICES": strings.Join(container.GetDevicesIds(), ",")},
		})
	}
	return out, nil
}
