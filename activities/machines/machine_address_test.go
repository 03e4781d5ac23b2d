package machines

import (
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
)

func TestAddressesThatACloudDoesNotListStay(t *testing.T) {
	record := &api.Machine{Address: "203.0.113.1", PrivateAddress: "10.0.0.1", SSHPort: 2222}
	up := keepUnlistedAddresses(record, cloud.Machine{Address: "203.0.113.2"})
	if up.Address != "203.0.113.2" || up.PrivateAddress != "10.0.0.1" || up.SSHPort != 2222 {
		t.Errorf("got %+v", up)
	}
	if up = keepUnlistedAddresses(record, cloud.Machine{}); !hasSameAddresses(record, up) {
		t.Errorf("got %+v", up)
	}
	up = keepUnlistedAddresses(record, cloud.Machine{Address: "203.0.113.2", PrivateAddress: "10.0.0.2", SSHPort: 22})
	if up.PrivateAddress != "10.0.0.2" || up.SSHPort != 22 {
		t.Errorf("got %+v", up)
	}
}
