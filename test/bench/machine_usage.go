package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

const (
	// quietShare is how much of the CPU other programs may use when a measurement starts, and quietPatience the limit
	// of the wait for that.
	quietShare    = 0.2
	quietPatience = 30 * time.Second
)

// awaitQuietMachine waits until the machine is idle, so that other work does not count. If it stays busy, both sides of
// a ratio are affected alike.
func awaitQuietMachine(ctx context.Context) {
	for give := time.Now().Add(quietPatience); time.Now().Before(give) && ctx.Err() == nil; {
		before := readProcessorTimes()
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
		}
		if after := readProcessorTimes(); after.total > before.total &&
			(after.busy-before.busy)/(after.total-before.total) < quietShare {
			return
		}
	}
}

type cpuTimes struct{ busy, total float64 }

// readProcessorTimes reads the first line of /proc/stat; proc(5) has the order of its columns.
func readProcessorTimes() cpuTimes {
	data, err := os.ReadFile("/proc/stat")
	if err != nil {
		return cpuTimes{}
	}
	line, _, _ := strings.Cut(string(data), "\n")
	var t cpuTimes
	for i, f := range strings.Fields(line)[1:] {
		var v float64
		if _, err := fmt.Sscan(f, &v); err != nil || i > 7 { // user time already includes guest time
			break
		}
		t.total += v
		if i != 3 && i != 4 { // idle and iowait
			t.busy += v
		}
	}
	return t
}

// readResidentMB returns the resident memory of a process, in MB (10^6 bytes).
func readResidentMB(pid int) (float64, error) { return readMemoryMB(pid, "VmRSS") }

// readMemoryMB returns one of a process's memory values of proc(5), in MB.
func readMemoryMB(pid int, what string) (float64, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for lines := bufio.NewScanner(bytes.NewReader(data)); lines.Scan(); {
		if rest, ok := strings.CutPrefix(lines.Text(), what+":"); ok {
			var kib float64
			_, err := fmt.Sscan(rest, &kib)
			return kib * 1024 / 1e6, err
		}
	}
	return 0, fmt.Errorf("process %d has no %s", pid, what)
}

// readProcessorMillis returns the CPU time of a process so far, of all its threads, in ms.
func readProcessorMillis(pid int) (float64, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(data), ") ") // the name before it may contain spaces
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0, fmt.Errorf("process %d has no times", pid)
	}
	var user, system float64
	if _, err := fmt.Sscan(fields[11]+" "+fields[12], &user, &system); err != nil {
		return 0, err
	}
	return (user + system) * 10, nil // Linux reports hundredths of a second on all systems
}

// describeMachine returns when, where and what was measured.
func describeMachine(ctx context.Context, b *bench) string {
	memory, kernel := "?", "?"
	if data, err := os.ReadFile("/proc/meminfo"); err == nil {
		var kib float64
		if _, err := fmt.Sscanf(string(data), "MemTotal: %f kB", &kib); err == nil {
			memory = fmt.Sprintf("%.0f GB", kib*1024/1e9)
		}
	}
	if data, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		kernel = strings.TrimSpace(string(data))
	}
	load := "?"
	if data, err := os.ReadFile("/proc/loadavg"); err == nil {
		load = strings.Join(strings.Fields(string(data))[:3], " ")
	}
	version, err := b.runProgram(ctx, nil, filepath.Join(b.bin, "skyctl"), "version", "--client")
	if err != nil {
		version = "unknown"
	}
	kit, _ := os.ReadFile(filepath.Join(b.kit, "version")) // newBench has checked it
	return fmt.Sprintf("%s, %s, %d cores, %s, %s/%s, Linux %s, load %s; Kubernetes: %s\n",
		time.Now().UTC().Format("2006-01-02 15:04 MST"), strings.TrimSpace(version), runtime.NumCPU(), memory,
		runtime.GOOS, runtime.GOARCH, kernel, load,
		strings.TrimSpace(string(kit)))
}
