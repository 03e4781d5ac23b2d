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

// ResourceName is what the accelerators are called in Kubernetes.
const ResourceName = "nvidia.com/gpu"

const (
	// pluginSocket is the real plugin's: two of them on a node meet there.
	pluginSocket = "nvidia-gpu.sock"
	pluginPoll   = 500 * time.Millisecond
)

// Plugin is a device plugin.
type Plugin struct {
	pluginapi.UnimplementedDevicePluginServer
	// HostDir says how many devices there are, SocketDir is where the kubelet is met, Node makes the devices' names
	// unique.
	HostDir, SocketDir, Node string

	mu      sync.Mutex
	machine machine
	changed chan struct{}
}

// Run serves the kubelet until ctx ends. A kubelet that starts anew makes a new socket and wants to be told again.
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

// serveKubelet registers once, and ends when the kubelet starts anew or somebody took the socket away.
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
		fmt.Printf("the kubelet can't be told yet: %v\n", err)
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
			fmt.Println("the kubelet has started anew, registering again")
			return true, nil
		}
		return socketIdentity(own) != mine, nil
	})
}

// socketIdentity tells a socket from another of the same name; nothing where there is none. Numbers alone don't: they
// are used again.
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

// refreshMachine notices that the machine's file has changed. One that can't be read leaves things as they are.
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

// listDevices are named after node and place, so that the same device keeps its name.
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

// ListAndWatch tells the kubelet of the devices, and again whenever they change.
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

// Allocate tells a container which devices are its own, in the way that NVIDIA's runtime reads.
func (p *Plugin) Allocate(_ context.Context, in *pluginapi.AllocateRequest) (*pluginapi.AllocateResponse, error) {
	out := &pluginapi.AllocateResponse{}
	for _, container := range in.GetContainerRequests() {
		out.ContainerResponses = append(out.ContainerResponses, &pluginapi.ContainerAllocateResponse{
			Envs: map[string]string{"NVIDIA_VISIBLE_DEVICES": strings.Join(container.GetDevicesIds(), ",")},
		})
	}
	return out, nil
}
