// Package gpukit stands in for NVIDIA's software on machines that have no accelerators: a device plugin that speaks the
// kubelet's real API, and a GPU operator with what people and programs see of the real one: names, labels, DaemonSets,
// the ClusterPolicy's status. What a machine has is read from a file on it, where the real parts ask a driver.
package gpukit

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// HostDir is where a machine says what it plays. Pods have it mounted at the same place.
//
//	gpus               how many accelerators there are, then, optionally, their name and the driver's version;
//	                   absent: none
//	slow-<part>        how many seconds a part takes before it goes on
//	crash-<part>       while it is there, the part writes what it holds and ends with 1
//	restart-rke2       the toolkit restarts RKE2 once after it was installed; toolkit-restarted says that it did
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

// machine is what a machine plays.
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
