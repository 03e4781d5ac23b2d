package gpukit

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	pluginapi "k8s.io/kubelet/pkg/apis/deviceplugin/v1beta1"
)

// kubelet plays the kubelet's registry.
type kubelet struct {
	pluginapi.UnimplementedRegistrationServer
	told chan *pluginapi.RegisterRequest
}

func (k *kubelet) Register(_ context.Context, in *pluginapi.RegisterRequest) (*pluginapi.Empty, error) {
	k.told <- in
	return &pluginapi.Empty{}, nil
}

// start listens where plugins look for a kubelet; what it returns ends it, as a kubelet's end does.
func (k *kubelet) start(t *testing.T, dir string) func() {
	t.Helper()
	listener, err := net.Listen("unix", filepath.Join(dir, "kubelet.sock"))
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	pluginapi.RegisterRegistrationServer(server, k)
	go func() { _ = server.Serve(listener) }()
	return server.Stop
}

// registration waits for one.
func (k *kubelet) registration(t *testing.T) *pluginapi.RegisterRequest {
	t.Helper()
	select {
	case in := <-k.told:
		return in
	case <-time.After(2 * time.Minute):
		t.Fatal("no plugin has registered")
		return nil
	}
}

func write(t *testing.T, dir, text string) {
	t.Helper()
	// Written atomically, so that no reader sees half of it.
	if err := os.WriteFile(filepath.Join(dir, "new"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(dir, "new"), filepath.Join(dir, gpusFile)); err != nil {
		t.Fatal(err)
	}
}

func TestPluginReportsTheMachinesDevices(t *testing.T) {
	host, sockets := t.TempDir(), t.TempDir()
	write(t, host, "2\n")
	k := &kubelet{told: make(chan *pluginapi.RegisterRequest, 8)}
	stop := k.start(t, sockets)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- (&Plugin{HostDir: host, SocketDir: sockets, Node: "n"}).Run(ctx) }()

	if in := k.registration(t); in.ResourceName != ResourceName || in.Version != "v1beta1" ||
		in.Endpoint != pluginSocket {
		t.Errorf("registered %v", in)
	}
	conn, err := grpc.NewClient("unix://"+filepath.Join(sockets, pluginSocket),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	client := pluginapi.NewDevicePluginClient(conn)
	watch, err := client.ListAndWatch(ctx, &pluginapi.Empty{})
	if err != nil {
		t.Fatal(err)
	}
	devices := func(want int) []string {
		t.Helper()
		answer, err := watch.Recv()
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, d := range answer.Devices {
			ids = append(ids, d.ID)
			if d.Health != pluginapi.Healthy {
				t.Errorf("device %s is %s", d.ID, d.Health)
			}
		}
		if len(ids) != want {
			t.Fatalf("devices are %v, want %d", ids, want)
		}
		return ids
	}
	first := devices(2)
	write(t, host, "3")
	if now := devices(3); now[0] != first[0] || now[1] != first[1] {
		t.Errorf("devices that were there changed their names: %v, before %v", now, first)
	}
	answer, err := client.Allocate(ctx, &pluginapi.AllocateRequest{
		ContainerRequests: []*pluginapi.ContainerAllocateRequest{{DevicesIds: first}}})
	if err != nil || answer.ContainerResponses[0].Envs["NVIDIA_VISIBLE_DEVICES"] != strings.Join(first, ",") {
		t.Errorf("got %v, %v", answer, err)
	}

	stop()
	_ = os.Remove(filepath.Join(sockets, "kubelet.sock"))
	defer k.start(t, sockets)()
	k.registration(t)
	cancel()
	select {
	case <-ended:
	case <-time.After(2 * time.Minute):
		t.Error("the plugin does not end")
	}
}

func TestMachineIsReadFromItsFile(t *testing.T) {
	for text, want := range map[string]machine{
		"":                          {},
		"0":                         {gpus: 0, product: defaultProduct, driver: defaultDriver},
		"8\n":                       {gpus: 8, product: defaultProduct, driver: defaultDriver},
		"4 NVIDIA-H100 570.86.15\n": {gpus: 4, product: "NVIDIA-H100", driver: "570.86.15"},
	} {
		dir := t.TempDir()
		write(t, dir, text)
		if got, err := readMachine(dir); err != nil || got != want {
			t.Errorf("%q: got %+v, %v", text, got, err)
		}
	}
	if got, err := readMachine(t.TempDir()); err != nil || got != (machine{}) {
		t.Errorf("without a file: %+v, %v", got, err)
	}
	dir := t.TempDir()
	write(t, dir, "many")
	if _, err := readMachine(dir); err == nil || !strings.Contains(err.Error(), `"many"`) {
		t.Errorf("got %v", err)
	}
}

func TestPartCrashesWhereRequested(t *testing.T) {
	dir := t.TempDir()
	said := func() (string, error) {
		var out strings.Builder
		err := crashIfRequested(&out, dir, "toolkit")
		return out.String(), err
	}
	t.Setenv("NODE_NAME", "one")
	for node, want := range map[string]bool{"": false, "two": false, "one": true, "*": true} {
		t.Setenv(crashVariable, node)
		if line, err := said(); IsRequestedCrash(err) != want || want != (line == defaultCrashLine+"\n") {
			t.Errorf("crash requested on %q: got %v, printed %q", node, err, line)
		}
	}
	t.Setenv(crashVariable, "")
	if err := os.WriteFile(filepath.Join(dir, "crash-toolkit"), []byte("Error: this\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if line, err := said(); !IsRequestedCrash(err) || line != "Error: this\n" {
		t.Errorf("told by the host: %v, said %q", err, line)
	}
}

func TestLabelsOfAMachineWithoutAcceleratorsAreRemoved(t *testing.T) {
	m := machine{gpus: 2, product: "NVIDIA-H100", driver: "570.86.15"}
	for key, want := range map[string]string{
		"nvidia.com/gpu.count": "2", "nvidia.com/gpu.product": "NVIDIA-H100",
		"nvidia.com/cuda.driver-version.full": "570.86.15",
		"nvidia.com/cuda.driver.major":        "570", "nvidia.com/cuda.driver.minor": "86",
		"nvidia.com/cuda.driver.rev": "15",
	} {
		if got := gfdLabels(m)[key]; got != want {
			t.Errorf("%s is %v, want %s", key, got, want)
		}
	}
	if nfdLabels(m)[pciLabel] != "true" {
		t.Error("the PCI label is missing")
	}
	for key, value := range gfdLabels(machine{}) {
		if value != nil {
			t.Errorf("%s stays %v", key, value)
		}
	}
	if nfdLabels(machine{})[pciLabel] != nil {
		t.Error("the PCI label stays")
	}
}
