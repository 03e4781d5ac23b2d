package hostnet

import (
	"strconv"

	"github.com/docker/docker/api/types/network"

	"github.com/sky-shift/skyctl/pkg/computer"
)

const (
	// optionMTU is the bridge driver's option for the size of packets, and usualMTU what it uses without it.
	optionMTU = "com.docker.network.driver.mtu"
	usualMTU  = 1500
)

// ReadMTU returns the size of packets on a bridge network, in bytes.
func ReadMTU(s network.Summary) int {
	if mtu, err := strconv.Atoi(s.Options[optionMTU]); err == nil {
		return mtu
	}
	return usualMTU
}

// newOptions are the driver's options for a network whose packets fit the way out of this computer: larger ones are
// lost where the answer that they are too large is lost too, as in many VPNs.
func (n *Network) newOptions() map[string]string {
	if !n.engine.IsLocal() {
		return nil
	}
	return optionsFor(computer.ReadWayOutMTU())
}

// optionsFor returns the options for a way out with the given size of packets; 0 is an unknown one.
func optionsFor(wayOut int) map[string]string {
	if wayOut == 0 || wayOut >= usualMTU {
		return nil
	}
	return map[string]string{optionMTU: strconv.Itoa(wayOut)}
}
