package gpu

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/remote"
	"github.com/sky-shift/skyctl/test/sshserver"
)

// working returns an nvidia-smi script that lists n accelerators.
func working(version string, n int) string {
	return `case "$1" in
--query-gpu=driver_version) for i in $(seq ` + number(n) + `); do echo ` + version + `; done ;;
-L) for i in $(seq ` + number(n) + `); do echo "GPU $((i-1)): NVIDIA A100-SXM4-80GB (UUID: GPU-$i)"; done ;;
*) exit 2 ;;
esac`
}

func number(n int) string { return strconv.Itoa(n) }

// machine returns a machine with this nvidia-smi and with PCI devices of these vendors and classes.
func machine(t *testing.T, nvidiaSMI string, devices ...[2]string) (h *remote.Host, bus string) {
	t.Helper()
	bin := t.TempDir()
	if nvidiaSMI != "" {
		if err := os.WriteFile(filepath.Join(bin, "nvidia-smi"), []byte("#!/bin/sh\n"+nvidiaSMI+"\n"),
			0o755); err != nil {
			t.Fatal(err)
		}
	}
	bus = t.TempDir()
	for i, d := range devices {
		dir := filepath.Join(bus, "0000:00:0"+number(i)+".0")
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		for j, file := range []string{"vendor", "class"} {
			if err := os.WriteFile(filepath.Join(dir, file), []byte(d[j]+"\n"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	s := sshserver.Start(t)
	s.Env = []string{"PATH=" + bin + ":" + os.Getenv("PATH")}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	h, err := remote.Dial(ctx, s.Target, s.Key)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h, bus
}

func TestProbeFindsDriverAndGPUs(t *testing.T) {
	gpu, audio, bridge, amd := [2]string{"0x10de", "0x030200"}, [2]string{"0x10de", "0x040300"}, [2]string{"0x10de",
		"0x068000"}, [2]string{"0x1002", "0x030000"}
	vga := [2]string{"0x10de", "0x030000"}
	for name, c := range map[string]struct {
		smi     string
		devices [][2]string
		want    Driver
	}{
		"a driver": {working("580.126.20", 8), nil,
			Driver{Installed: true, Version: "580.126.20", GPUs: 8, Model: "NVIDIA A100-SXM4-80GB"}},
		"a driver, one GPU missing": {working("580.126.20", 7), [][2]string{gpu, gpu, gpu, gpu, gpu, gpu, gpu, gpu},
			Driver{Installed: true, Version: "580.126.20", GPUs: 7, Model: "NVIDIA A100-SXM4-80GB"}},
		"no driver": {"", [][2]string{gpu, audio, vga, bridge, amd}, Driver{GPUs: 2}},
		"nothing":   {"", [][2]string{amd}, Driver{}},
		"a driver that fails": {"echo 'NVIDIA-SMI has failed because it could not'; echo 'communicate with the " +
			"driver.'; exit 9", [][2]string{gpu},
			Driver{Fault: "NVIDIA-SMI has failed because it could not communicate with the driver. (exit 9)", GPUs: 1}},
	} {
		// Not in parallel: a script that is written while another test forks cannot run until that child runs its own.
		t.Run(name, func(t *testing.T) {
			h, bus := machine(t, c.smi, c.devices...)
			got, err := probeDriverAt(t.Context(), h, bus)
			if err != nil || got != c.want {
				t.Errorf("got %+v, %v, want %+v", got, err, c.want)
			}
		})
	}
}

func TestProbeWorksHereAndFailsOnALostMachine(t *testing.T) {
	h, _ := machine(t, "")
	if _, err := ProbeDriver(t.Context(), h); err != nil {
		t.Error(err)
	}
	h.Close()
	if _, err := ProbeDriver(t.Context(), h); !remote.IsLost(err) {
		t.Errorf("a lost machine: %v", err)
	}
}

func TestDriverMismatchNamesTheMachine(t *testing.T) {
	with, without := Driver{Installed: true, Version: "580.126.20", GPUs: 8}, Driver{GPUs: 8}
	machines := func(drivers ...Driver) []MachineDriver {
		var all []MachineDriver
		for i, d := range drivers {
			all = append(all, MachineDriver{Machine: "m" + number(i), Driver: d, Requested: 8})
		}
		return all
	}
	for name, c := range map[string]struct {
		machines        []MachineDriver
		installed       bool
		reason, machine string
		says            string
	}{
		"all have one": {machines(with, with), true, "", "", ""},
		"none has one": {machines(without, without), false, "", "", ""},
		"one has one": {machines(without, without, with), false, DriverDiffers, "m2",
			"it has NVIDIA's driver, while m0, m1 have none"},
		"one has none": {machines(with, without, with), false, DriverDiffers, "m1",
			"it has no NVIDIA driver, while m0, m2 have one"},
		"half and half": {machines(with, without), false, DriverDiffers, "m0", "while m1 have none"},
		"two of many": {machines(without, with, without, with, without), false, DriverDiffers, "m1",
			"as m3, while m0, m2, m4 have none"},
		"a broken driver": {machines(with, Driver{Fault: "no devices", GPUs: 8}), false, DriverBroken, "m1",
			"no devices"},
		"one GPU missing": {machines(with, Driver{Installed: true, GPUs: 7}), false, GPUMissing, "m1",
			"only 7 of the 8"},
		"no GPU":      {machines(without, Driver{}), false, GPUMissing, "m1", "none of the 8"},
		"more GPUs":   {machines(Driver{Installed: true, GPUs: 16}), true, "", "", ""},
		"no machines": {nil, false, "", "", ""},
	} {
		got, err := FindCommonDriver(c.machines)
		var f *Failure
		if c.reason == "" {
			if err != nil || got.Installed != c.installed {
				t.Errorf("%s: got %+v, %v", name, got, err)
			}
			continue
		}
		if !errors.As(err, &f) || f.Kind != c.reason || f.Machine != c.machine ||
			!strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v (%+v), want %s of %s, with %q", name, err, f, c.reason, c.machine, c.says)
		}
	}
}
