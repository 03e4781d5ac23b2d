// Package gpukit stands in for NVIDIA's software on machines that have no accelerators: a device plugin that speaks the
// kubelet's real API, and a GPU operator with the visible behaviour of the real one: names, labels, DaemonSets, the
// ClusterPolicy's status. The parts read a machine's accelerators from a file; the real ones query a driver.
package gpukit

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// HostDir has the files that define what a machine simulates. Pods mount it at the same path.
//
//	gpus               how many accelerators there are, then, optionally, their name and the driver's version;
//	                   absent: none
//	slow-<part>        delay of the part's start in seconds
//	crash-<part>       while the file exists, the part prints its content and exits with 1
//	restart-rke2       the toolkit restarts RKE2 once after its installation, recorded in toolkit-restarted
//
// Parts are device-plugin, toolkit, driver, validator, gfd, nfd-worker and operator.
const HostDir = "/etc/skyctl-test"

const (
	gpusFile      = "gpus"
	restartFile   = "restart-rke2"
	restartedFile = "toolkit-restarted"

	defaultProduct = "NVIDIA-A100-SXM4-40GB"
	defaultDriver  = "580.126.20"
)

// machine is what a machine simulates.
type machine struct {
	gpus            int
	product, driver string
}

func readMachine(dir string) (machine, error) {
	data, err := os.ReadFile(filepath.Join(dir, gpusFile))
	if os.IsNotExist(err) {
		return machine{}, nil
	}
	if err != nil {
		return machine{}, fmt.Errorf("read accelerators: %w", err)
	}
	fields := strings.Fields(string(data))
	if len(fields) == 0 {
		return machine{}, nil // it is just being written
	}
	n, err := strconv.Atoi(fields[0])
	if err != nil || n < 0 {
		return machine{}, fmt.Errorf("%s begins with %q, which is not a number of accelerators",
			filepath.Join(dir, gpusFile), fields[0])
	}
	m := machine{gpus: n, product: defaultProduct, driver: defaultDriver}
	if len(fields) > 1 {
		m.product = fields[1]
	}
	if len(fields) > 2 {
		m.driver = fields[2]
	}
	return m, nil
}
