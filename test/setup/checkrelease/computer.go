package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud/docker"
)

const (
	// mostHosts is how many hosts the tests have at the same time: two clusters of two, or one of four of which one is
	// being replaced. hostDiskGiB is what a host takes: the release, its images (unpacked, about 3 GiB), and etcd.
	mostHosts   = 5
	hostDiskGiB = 8
	// freeMemoryGiB is what they and skyd use at the same time, roughly: 3 GiB for each of two servers, 1.5 for each of
	// three workers, and 0.5 for skyd.
	freeMemoryGiB = 11
	// capSysResource is the number of CAP_SYS_RESOURCE in capabilities(7). Kubelets need it to protect RKE2's static
	// pods from the kernel's out-of-memory killer.
	capSysResource = 24
)

// checkEngine has cloud docker judge its engine, and whether the hosts of the tests fit.
func checkEngine(ctx context.Context) error {
	c, err := docker.New(docker.Options{})
	if err != nil {
		return err
	}
	defer c.Close()
	if found, _ := c.InspectProvider(ctx); found.Problem != "" {
		return errors.New(found.Problem)
	}
	if err := c.ValidateSpec(ctx, api.GroupSpec{NumNodes: mostHosts, CPUs: strconv.Itoa(api.MinServerCPUs),
		Memory: strconv.Itoa(api.MinServerMemoryGiB), DiskSize: hostDiskGiB}); err != nil {
		return fmt.Errorf("%d hosts of %d CPUs, %d GiB of memory and %d GiB of disk do not fit: %w", mostHosts,
			api.MinServerCPUs, api.MinServerMemoryGiB, hostDiskGiB, err)
	}
	return nil
}

func checkFreeMemory(context.Context) error {
	meminfo, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return err
	}
	return judgeMemory(string(meminfo))
}

// judgeMemory reads /proc/meminfo, whose kB are KiB.
func judgeMemory(meminfo string) error {
	kib, err := readNumber(meminfo, "MemAvailable:", 10)
	if err != nil {
		return err
	}
	if gib := float64(kib) / (1 << 20); gib < freeMemoryGiB {
		return fmt.Errorf("%.1f GiB are available; the %d hosts of the tests use about %d GiB", gib, mostHosts,
			freeMemoryGiB)
	}
	return nil
}

func checkPrivileges(context.Context) error {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return err
	}
	return judgePrivileges(string(status))
}

// judgePrivileges reads the bounding set of capabilities in /proc/PID/status. Containers cannot have more.
func judgePrivileges(status string) error {
	bound, err := readNumber(status, "CapBnd:", 16)
	if err != nil {
		return err
	}
	if bound&(1<<capSysResource) == 0 {
		return errors.New("processes of this computer cannot have CAP_SYS_RESOURCE, without which RKE2's static pods " +
			"do not start")
	}
	return nil
}

// readNumber returns the number after a name at the beginning of a line.
func readNumber(text, name string, base int) (uint64, error) {
	for lines := bufio.NewScanner(strings.NewReader(text)); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), name); ok {
			if fields := strings.Fields(value); len(fields) > 0 {
				return strconv.ParseUint(fields[0], base, 64)
			}
		}
	}
	return 0, fmt.Errorf("%s is not told", strings.TrimSuffix(name, ":"))
}
