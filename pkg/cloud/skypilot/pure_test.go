package skypilot

import (
	"bytes"
	"context"
	"flag"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/cloud/skypilot/logtext"
)

// Update rewrites recordings of what a real server says.
var Update = flag.Bool("update", false, "rewrite recordings")

// newLaunchRequest asks for a worker of a cluster.
func newLaunchRequest(p api.Placement, spec api.ClusterSpec) cloud.LaunchRequest {
	return cloud.LaunchRequest{
		Owner: cloud.Owner{Installation: "5c3c8f4e", Cluster: "demo", ClusterUID: "0b7c1d2e"},
		Name:  "sky-demo-1", Index: 1, Incarnation: "bcdfg", Placement: p, Spec: spec,
	}
}

func TestWhereNoServerListensACreateHearsAtOnceWhatToDo(t *testing.T) {
	for _, endpoint := range []string{"http://127.0.0.1:1", "http://no-such-host.invalid:46580"} {
		c, err := New(Options{Dir: t.TempDir(), Endpoint: endpoint})
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		_, err = c.RankPlacements(t.Context(), api.ClusterSpec{Cloud: "aws"})
		if cloud.KindOf(err) != cloud.Unreachable || !strings.Contains(err.Error(), endpoint) ||
			!strings.Contains(err.Error(), EnvEndpoint) {
			t.Errorf("%s: %v", cloud.KindOf(err), err)
		}
		if spent := time.Since(begin); spent > 10*time.Second {
			t.Errorf("it took %v to say so", spent)
		}
	}
}

func TestALocalServerThatCannotStartIsNotWaitedFor(t *testing.T) {
	c, err := New(Options{Dir: t.TempDir(), Port: 1, Python: "/bin/false"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err = c.RankPlacements(t.Context(), api.ClusterSpec{Cloud: "aws"}); cloud.KindOf(err) != cloud.Unreachable ||
		!strings.Contains(err.Error(), "server.log") {
		t.Errorf("%s: %v", cloud.KindOf(err), err)
	}
}

func TestHeadsGoFirst(t *testing.T) {
	q := &launchQueue{}
	done, err := q.awaitTurn(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	var order []string
	turn := make(chan string, 3)
	come := func(name string, head bool) {
		before := func() int { q.mu.Lock(); defer q.mu.Unlock(); return len(q.waiting) }
		n := before()
		go func() {
			done, err := q.awaitTurn(context.Background(), head)
			if err != nil {
				t.Error(err)
				return
			}
			turn <- name
			done()
		}()
		for give := time.Now().Add(10 * time.Second); before() == n; {
			if time.Now().After(give) {
				t.Fatal("nobody came to wait")
			}
			time.Sleep(time.Millisecond) // between two looks
		}
	}
	come("first worker", false)
	come("second worker", false)
	come("head", true)
	done()
	for range 3 {
		order = append(order, <-turn)
	}
	if want := []string{"head", "first worker", "second worker"}; !slices.Equal(order, want) {
		t.Errorf("order %v, want %v", order, want)
	}
}

func TestWhoeverStopsWaitingForATurnHoldsNobodyUp(t *testing.T) {
	q := &launchQueue{}
	done, err := q.awaitTurn(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := q.awaitTurn(ctx, true); err == nil {
		t.Error("a turn beside another's")
	}
	done()
	done, err = q.awaitTurn(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	done()
}

func TestACheckSaysWhyACloudIsNotEnabled(t *testing.T) {
	data, err := os.ReadFile("testdata/recorded/check.log")
	if err != nil {
		t.Fatal(err)
	}
	log := &launchLog{progress: func(string) {}}
	if err := logtext.ForEachLine(bytes.NewReader(data), log.addLine); err != nil {
		t.Fatal(err)
	}
	got := parseCheckReport(log.allLines())
	if why, ok := got["aws"]; !ok || why != "" {
		t.Errorf("aws is enabled, and the check says %q", why)
	}
	if why := got["gcp"]; !strings.HasPrefix(why, "GCP tools are not installed") || strings.Contains(why, "Enabled") {
		t.Errorf("gcp: %q", why)
	}
}

func TestOnlyTheEndOfALogIsKept(t *testing.T) {
	var said []string
	log := &launchLog{progress: func(s string) { said = append(said, s) }}
	for range 5000 {
		log.addLine("⚙︎ Launching on AWS us-east-1 (us-east-1a).")
	}
	log.addLine("Cluster launched: sky-demo-0.")
	if n := len(log.allLines()); n > 2001 {
		t.Errorf("%d lines are kept", n)
	}
	if want := []string{"Launching on AWS us-east-1 (us-east-1a)", "launched"}; !slices.Equal(said, want) {
		t.Errorf("progress %q, want %q", said, want)
	}
}
