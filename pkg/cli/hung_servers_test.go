package cli

import (
	"net"
	"strings"
	"testing"
	"time"
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
	etcd, temporal := listenSilently(t), listenSilently(t)
	p.env["SKYCTL_ETCD_ENDPOINTS"], p.env["SKYCTL_TEMPORAL_ADDRESS"] = "https://"+etcd, temporal
	began := time.Now()
	got := p.run("server", "status")
	took := time.Since(began)
	lines := lined(got.out)
	if got.code != ExitUnreachable || took > 3500*time.Millisecond ||
		lines[0] != "etcd https://"+etcd+" does not answer: no answer within 2.5s" ||
		lines[1] != "Temporal "+temporal+" does not answer: no answer within 2.5s" {
		t.Errorf("exit %d after %v:\n%s%s", got.code, took, got.out, got.err)
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
	p.env["SKYCTL_ETCD_ENDPOINTS"] = "https://" + listenSilently(t)
	got := p.run("server", "status")
	if got.code != ExitUnreachable || strings.Count(got.out, " does not answer") != 1 ||
		strings.Count(got.out, " answers") != 2 {
		t.Errorf("exit %d:\n%s%s", got.code, got.out, got.err)
	}
}
