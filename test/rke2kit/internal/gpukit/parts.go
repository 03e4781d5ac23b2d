package gpukit

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/sky-shift/skyctl/test/rke2kit/internal/kubeapi"
)

// The files on the host with which the real parts signal that they are ready.
const (
	validations  = "/run/nvidia/validations"
	driverReady  = ".driver-ctr-ready"
	toolkitReady = "toolkit-ready"
	// devicesReady is not a file: it means that this pod's node offers accelerators.
	devicesReady = "devices"
	partPoll     = time.Second
)

// hostRoot is the path of the host's root in a pod.
const hostRoot = "/host"

// Run runs the part that the first argument names. It returns when ctx ends or the part fails.
func Run(ctx context.Context, args []string) error {
	part := ""
	if len(args) > 0 {
		part = args[0]
	}
	if part == "wait" && len(args) < 2 {
		return errors.New("wait as which part?")
	}
	switch part {
	case "vectoradd":
		return runVectorAdd()
	case "wait":
		return awaitDependencies(ctx, args[1], args[2:])
	case "driver":
		return runUntilStopped(ctx, part, driverReady, nil)
	case "toolkit":
		return runUntilStopped(ctx, part, toolkitReady, restartRKE2)
	case "validator":
		fmt.Println("all validations are successful")
		return runUntilStopped(ctx, part, "", nil)
	case "device-plugin":
		plugin := Plugin{HostDir: HostDir, SocketDir: "/var/lib/kubelet/device-plugins", Node: os.Getenv("NODE_NAME")}
		return plugin.Run(ctx)
	}
	api, err := kubeapi.NewInPod()
	if err != nil {
		return err
	}
	switch part {
	case "nfd-worker":
		return keepLabels(ctx, api, HostDir, "nfd-worker", nfdLabels)
	case "gfd":
		return keepLabels(ctx, api, HostDir, "gfd", gfdLabels)
	case "operator":
		if err := applyDelay(ctx, HostDir, part); err != nil {
			return err
		}
		return newOperator(api, os.Getenv("OPERATOR_NAMESPACE")).run(ctx)
	}
	return fmt.Errorf("no such part: %q", part)
}

// awaitDependencies is a part's init container: it applies the requested delay and waits for the part's dependencies.
func awaitDependencies(ctx context.Context, part string, needs []string) error {
	if err := applyDelay(ctx, HostDir, part); err != nil {
		return err
	}
	for _, need := range needs {
		fmt.Printf("waiting for %s\n", need)
		there := func() (bool, error) { return fileExists(filepath.Join(validations, need)), nil }
		if need == devicesReady {
			api, err := kubeapi.NewInPod()
			if err != nil {
				return err
			}
			there = func() (bool, error) { return offersDevices(ctx, api), nil }
		}
		if err := pollUntil(ctx, partPoll, there); err != nil {
			return err
		}
	}
	return nil
}

// offersDevices is also false if the apiserver does not answer: it may be restarting.
func offersDevices(ctx context.Context, api *kubeapi.Client) bool {
	n, err := readNode(ctx, api, os.Getenv("NODE_NAME"))
	if err != nil {
		return false
	}
	count, _ := strconv.Atoi(n.Status.Allocatable[ResourceName])
	return count > 0
}

// runUntilStopped does a part's work once and then keeps the part running, marked as ready, until ctx ends.
func runUntilStopped(ctx context.Context, operand, ready string, work func(context.Context) error) error {
	if err := crashIfRequested(os.Stderr, HostDir, operand); err != nil {
		return err
	}
	if ready != "" {
		file := filepath.Join(validations, ready)
		if err := os.WriteFile(file, nil, 0o644); err != nil {
			return fmt.Errorf("say that it is ready: %w", err)
		}
		defer os.Remove(file)
	}
	if work != nil {
		if err := work(ctx); err != nil {
			return err
		}
	}
	err := pollUntil(ctx, time.Second, func() (bool, error) {
		return false, crashIfRequested(os.Stderr, HostDir, operand)
	})
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// restartRKE2 restarts RKE2 on the host, once in the machine's life, if the host or the chart's values request it. The
// real toolkit does so after it has configured containerd.
func restartRKE2(ctx context.Context) error {
	told := os.Getenv(restartVariable) == "true" || fileExists(filepath.Join(HostDir, restartFile))
	done := filepath.Join(HostDir, restartedFile)
	if !told || fileExists(done) {
		return nil
	}
	if err := installRuntime(filepath.Join(hostRoot, "usr/local/nvidia/toolkit")); err != nil {
		return err
	}
	if err := os.WriteFile(done, []byte(time.Now().UTC().Format(time.RFC3339)+"\n"), 0o644); err != nil {
		return fmt.Errorf("note the restart: %w", err)
	}
	for _, unit := range []string{"rke2-server", "rke2-agent"} {
		if runSystemctl(ctx, "is-active", "--quiet", unit) != nil {
			continue
		}
		fmt.Printf("restarting %s\n", unit)
		if err := runSystemctl(ctx, "restart", "--no-block", unit); err != nil {
			return fmt.Errorf("restart %s: %w", unit, err)
		}
	}
	return nil
}

// installRuntime installs runc under the path at which RKE2 searches for NVIDIA's runtime when it starts.
func installRuntime(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("install the runtime: %w", err)
	}
	return os.WriteFile(filepath.Join(dir, "nvidia-container-runtime"), []byte("#!/bin/sh\nexec runc \"$@\"\n"), 0o755)
}

// runSystemctl runs the host's systemctl.
func runSystemctl(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, "/usr/bin/systemctl", args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: hostRoot}
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "SYSTEMD_IGNORE_CHROOT=1"}
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return cmd.Run()
}

// runVectorAdd stands in for NVIDIA's sample workload: it succeeds if an accelerator was allocated to it.
func runVectorAdd() error {
	fmt.Println("[Vector addition of 50000 elements]")
	switch devices := os.Getenv("NVIDIA_VISIBLE_DEVICES"); devices {
	case "", "void", "none":
		fmt.Fprintln(os.Stderr, "Failed to allocate device vector A (error code no CUDA-capable device is detected)!")
		return errRequestedCrash
	default:
		fmt.Printf("on %s\nTest PASSED\nDone\n", devices)
		return nil
	}
}
