package cli

import (
	"net"
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/test/eventually"
)

// listenSilently accepts connections and never answers, like a stopped process.
func listenSilently(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.Addr().String()
}

func TestHangingServersAreReportedInOneLineEach(t *testing.T) {
	p := newExternalUser(t)
	p.impatient = true
	etcd, temporal := listenSilently(t), listenSilently(t)
	p.env["SKYCTL_ETCD_ENDPOINTS"], p.env["SKYCTL_TEMPORAL_ADDRESS"] = "https://"+etcd, temporal
	got := p.run("server", "status")
	lines := lined(got.out)
	if got.code != ExitUnreachable ||
		lines[0] != "etcd https://"+etcd+" does not answer: no answer within 2.5s" ||
		lines[1] != "Temporal "+temporal+" does not answer: no answer within 2.5s" {
		t.Errorf("exit %d:\n%s%s", got.code, got.out, got.err)
	}
}

func TestUnreachableServersAddressIsPrintedOnce(t *testing.T) {
	p := newExternalUser(t)
	p.env["SKYCTL_ETCD_ENDPOINTS"], p.env["SKYCTL_TEMPORAL_ADDRESS"] = "https://127.0.0.1:1", "127.0.0.1:1"
	got := p.run("server", "status")
	lines := lined(got.out)
	if got.code != ExitUnreachable || lines[0] != "etcd https://127.0.0.1:1 does not answer: connect: connection "+
		"refused" ||
		lines[1] != "Temporal 127.0.0.1:1 does not answer: connect: connection refused" {
		t.Errorf("exit %d:\n%s%s", got.code, got.out, got.err)
	}
}

// lined returns the lines of a text with single spaces between columns.
func lined(text string) []string {
	var all []string
	for l := range strings.Lines(text) {
		all = append(all, strings.Join(strings.Fields(l), " "))
	}
	return append(all, "", "")
}

func TestHangingServerDoesNotDelayOthers(t *testing.T) {
	world.StartWorker(t)
	p := newExternalUser(t)
	p.impatient = true // else etcd is waited for
	p.env["SKYCTL_ETCD_ENDPOINTS"] = "https://" + listenSilently(t)
	eventually.Holds(t, "the others answer in time", func() bool {
		got := p.run("server", "status")
		if got.code != ExitUnreachable || !strings.Contains(got.out, " does not answer") {
			t.Errorf("exit %d:\n%s%s", got.code, got.out, got.err)
		}
		return strings.Count(got.out, " answers") == 2
	})
}
