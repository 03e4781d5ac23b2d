//go:build skypilot_task

package e2e

import (
	"compress/gzip"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/kubeconfig"
	"github.com/sky-shift/skyctl/test/eventually"
	"github.com/sky-shift/skyctl/test/process"
	skytest "github.com/sky-shift/skyctl/test/skypilot"
)

// taskCluster is the cluster that the task runs on; its machine pulls no images.
const taskCluster = "task"

// podSettings are a person's settings of SkyPilot before the cluster exists. The pods use the image that the machine
// has, and trust the certificates that are in it.
const podSettings = `# mine
kubernetes:
  pod_config:
    spec:
      containers:
      - imagePullPolicy: Never
        env:
        - {name: UV_SYSTEM_CERTS, value: "true"}
        - {name: SSL_CERT_FILE, value: /etc/ssl/certs/ca-certificates.crt}
`

// TestSkyPilotRunsATask follows the line that create prints: a person's SkyPilot, with an API server of its own, runs a
// task in a pod of the cluster. `make e2e-skypilot` builds the image of the pod.
func TestSkyPilotRunsATask(t *testing.T) {
	imageFile := mustEnv(t, "SKYCTL_TEST_TASK_IMAGE")
	image := "docker:skyctl-taskimage:" + strings.TrimSuffix(filepath.Base(imageFile), ".tar.gz")
	i := newInstallation(t)
	home, _ := i.useHome(podSettings)
	infra := "k8s/" + kubeconfig.ContextName(taskCluster)
	r := i.create(taskCluster, "--num_nodes", "1", "--merge", "--wait")
	if r.code != 0 || !strings.Contains(r.stdout+r.stderr, "sky launch --infra "+infra+" -- ") {
		t.Fatalf("create: exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	i.giveImage("sky-"+taskCluster+"-0", imageFile)
	sky := startSkyPilot(t, home, i.bin)

	out := sky.run(8*time.Minute, "launch", "--yes", "--cluster", "hello", "--infra", infra, "--cpus", "0.5",
		"--memory", "0.5",
		"--image-id", image, "--", "echo hello from $(hostname)")
	if !strings.Contains(out, "hello from hello-") {
		t.Errorf("the task's output is missing:\n%s", out)
	}
	if pods := i.kubectl(taskCluster, "get", "pods", "-o", "name"); !strings.Contains(pods, "pod/hello-") {
		t.Errorf("SkyPilot's pod is not on the cluster: %q", pods)
	}
	sky.run(2*time.Minute, "down", "--yes", "hello")
	i.run("delete", "cluster", taskCluster, "--yes", "--wait")
	for name, want := range map[string]string{".sky/config.yaml": podSettings, ".kube/config": ""} {
		left, err := os.ReadFile(filepath.Join(home, name))
		if err != nil && !os.IsNotExist(err) || name == ".sky/config.yaml" && string(left) != want ||
			strings.Contains(string(left), kubeconfig.ContextName(taskCluster)) {
			t.Errorf("after delete, %s is %q, %v", name, left, err)
		}
	}
}

// giveImage gives the kubelet of a machine an image from a file.
func (i *installation) giveImage(host, file string) {
	i.t.Helper()
	archive, err := os.Open(file)
	if err != nil {
		i.t.Fatal(err)
	}
	defer archive.Close()
	plain, err := gzip.NewReader(archive)
	if err != nil {
		i.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(i.t.Context(), eventually.Patience(4*time.Minute))
	defer cancel()
	cmd := exec.CommandContext(ctx, "docker", "exec", "-i", host, "ctr", "--address",
		"/run/k3s/containerd/containerd.sock",
		"--namespace", "k8s.io", "images", "import", "-")
	cmd.Stdin = plain
	if out, err := cmd.CombinedOutput(); err != nil {
		i.t.Fatalf("import the image of the pods: %v\n%s", err, out)
	}
}

// personsSkyPilot is a SkyPilot with an API server.
type personsSkyPilot struct {
	t       *testing.T
	environ []string
}

func startSkyPilot(t *testing.T, home, bin string) personsSkyPilot {
	t.Helper()
	port, err := skytest.FindServerPort()
	if err != nil {
		t.Fatal(err)
	}
	environ, err := skytest.PersonEnviron(t.Context(), home, bin)
	if err != nil {
		t.Fatal(err)
	}
	endpoint := fmt.Sprintf("http://127.0.0.1:%d", port)
	environ = append(environ, "SKYPILOT_API_SERVER_ENDPOINT="+endpoint,
		fmt.Sprintf("SKYPILOT_API_SERVER_LOCAL_PORT=%d", port))
	log := filepath.Join(t.TempDir(), "api-server.log")
	server, err := process.Start(process.Options{Argv: []string{"env", "python", "-m", "sky.server.server",
		"--host=127.0.0.1", fmt.Sprintf("--port=%d", port)},
		Env: slices.Concat(environ, []string{"IS_SKYPILOT_SERVER=true"}),
		Dir: home, LogFile: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("SkyPilot's API server:\n%s", server.LastLogLines())
		}
		_ = server.Kill() // with its executors, which share its group
		killProcessesWith("SKYPILOT_API_SERVER_ENDPOINT=" + endpoint)
	})
	ctx, cancel := context.WithTimeout(t.Context(), eventually.Patience(2*time.Minute))
	defer cancel()
	sky := personsSkyPilot{t: t, environ: environ}
	if err := server.AwaitHealthy(ctx, func() error {
		r, err := process.Run(ctx, process.Options{Argv: []string{"curl", "-fsS", "--max-time", "5",
			endpoint + "/api/health"}})
		if err == nil && r.Code != 0 {
			err = fmt.Errorf("curl: exit %d: %s", r.Code, r.Stderr)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return sky
}

// run runs sky, which must succeed, and returns its output.
func (s personsSkyPilot) run(limit time.Duration, args ...string) string {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), eventually.Patience(limit))
	defer cancel()
	cmd := process.Command(ctx, process.Options{Argv: append([]string{"env", "sky"}, args...), Env: s.environ})
	out, err := cmd.CombinedOutput()
	if err != nil {
		s.t.Fatalf("sky %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// killProcessesWith kills the processes that have a variable: what SkyPilot leaves running, such as connections to
// pods.
func killProcessesWith(variable string) {
	files, _ := filepath.Glob("/proc/[0-9]*/environ") // the pattern is good
	for _, file := range files {
		vars, err := os.ReadFile(file)
		if err != nil || !slices.Contains(strings.Split(string(vars), "\x00"), variable) {
			continue // it has ended, or is somebody else's
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file))); err == nil {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}
