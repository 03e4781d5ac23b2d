package computer

import (
	"net"
	"os/user"
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/test/freeport"
)

func TestListenersAreFoundInTheKernelsTable(t *testing.T) {
	const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1C41 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1001        0 3342 1
   1: 0100007F:1C42 0100007F:9C40 01 00000000:00000000 00:00000000 00000000  1002        0 3343 1
`
	if uid, found := parseListener([]byte(table), 7233); uid != 1001 || !found {
		t.Errorf("a listener: %d, %v", uid, found)
	}
	for what, port := range map[string]int{"a connection": 7234, "nobody": 7235} {
		if uid, found := parseListener([]byte(table), port); found {
			t.Errorf("%s counts as a listener of %d", what, uid)
		}
	}
}

func TestTakenPortsAreFoundWithTheirOwners(t *testing.T) {
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	taken, free := l.Addr().(*net.TCPAddr).Port, freeport.Get(t, 1)[0]
	f := GatherFacts(t.Context(), Options{Ports: []Port{{Number: free, For: "etcd"}, {Number: taken, For: "Temporal"},
		{Number: taken, For: "the SkyPilot server", OfSkyPilot: true}}})
	if len(f.Ports) != 1 || f.Ports[0].For != "Temporal" {
		t.Fatalf("%s listens on %d, nobody on %d: %+v", me.Username, taken, free, f.Ports)
	}
	// Another skyd of this user may run on this computer.
	if owner, _, _ := strings.Cut(f.Ports[0].Owner, ", who runs skyd"); owner != me.Username {
		t.Errorf("%s listens on %d, nobody on %d: %+v", me.Username, taken, free, f.Ports)
	}
}

func TestReplacedPortsOfARunningServerAreDescribed(t *testing.T) {
	f := Facts{Ports: []Port{{Number: 7233, For: "Temporal", Owner: "ann", Running: true},
		{Number: 8233, For: "the Web UI", Owner: "bob", Running: true},
		{Number: 2379, For: "etcd", Owner: "ann", Running: true}}}
	got := DescribeReplacedPorts(f)
	if len(got) != 2 || got[0] != "ports 7233 (Temporal) and 2379 (etcd) belong to ann: skyd uses free ones instead" ||
		got[1] != "port 8233 (the Web UI) belongs to bob: skyd uses free ones instead" {
		t.Errorf("%q", got)
	}
	if found := FindServerProblems(f); len(found) > 0 {
		t.Errorf("%+v", found)
	}
}
