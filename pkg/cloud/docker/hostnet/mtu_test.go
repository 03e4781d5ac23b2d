package hostnet

import (
	"testing"

	"github.com/docker/docker/api/types/network"
)

func TestNetworkHasPacketsThatFitTheWayOut(t *testing.T) {
	for wayOut, want := range map[int]int{0: 1500, 1500: 1500, 9000: 1500, 1400: 1400, 1280: 1280} {
		if got := ReadMTU(network.Summary{Options: optionsFor(wayOut)}); got != want {
			t.Errorf("way out with %d bytes: %d, want %d", wayOut, got, want)
		}
	}
}
