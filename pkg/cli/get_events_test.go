package cli

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cli/render"
	"github.com/sky-shift/skyctl/test/eventually"
	"github.com/sky-shift/skyctl/test/lockedbuffer"
)

func TestEventsOfADeletedClusterAreShown(t *testing.T) {
	world.StartWorker(t)
	p := newExternalUser(t)
	ref := storeReadyCluster(t, "past")
	e := api.Event{Cluster: "past", UID: ref.UID, Type: api.EventWarning, Reason: "MachineGone", Message: "one is gone"}
	if err := world.Store.RecordEvent(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	if got := p.run("describe", "cluster", "past"); !strings.Contains(got.out, "\nEvents:\n") ||
		!strings.Contains(got.out, "one is gone") {
		t.Errorf("describe: %s%s", got.out, got.err)
	}
	if err := world.Store.DeleteCluster(t.Context(), ref); err != nil {
		t.Fatal(err)
	}
	got := p.run("get", "events", "past")
	if got.code != 0 || !strings.Contains(got.out, "one is gone") ||
		got.err != "Fetching events\n✔ Fetching events completed successfully.\n" {
		t.Errorf("exit %d, %q, %q", got.code, got.out, got.err)
	}
	var list render.EventList
	if err := json.Unmarshal([]byte(p.run("get", "events", "past", "-o", "json").out), &list); err != nil ||
		list.Kind != "EventList" || len(list.Items) != 1 || list.Items[0].Count != 1 {
		t.Errorf("%v: %+v", err, list)
	}
}

func TestEventWatchPrintsEachEventOnceUntilCtrlC(t *testing.T) {
	world.StartWorker(t)
	p := newExternalUser(t)
	ref := storeReadyCluster(t, "seen-events")
	record := func(message string) {
		t.Helper()
		e := api.Event{Cluster: ref.Name, UID: ref.UID, Type: api.EventNormal, Reason: "Odd", Message: message}
		if err := world.Store.RecordEvent(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	record("before")
	ctx, interrupt := context.WithCancel(t.Context())
	var out, errs lockedbuffer.Buffer
	done := make(chan int)
	go func() {
		done <- Run(ctx, p.environment(nil, &out, &errs), []string{"get", "events", ref.Name, "-w"})
	}()
	eventually.Holds(t, "the earlier event", func() bool { return strings.Contains(out.String(), "before") })
	record("after")
	eventually.Holds(t, "the new event", func() bool { return strings.Contains(out.String(), "after") })
	record("before")
	eventually.Holds(t, "the repeated event", func() bool { return strings.Count(out.String(), "before") == 2 })
	interrupt()
	if code := <-done; code != ExitInterrupted || errs.String() != "" ||
		strings.Count(out.String(), "LAST SEEN") != 1 ||
		strings.Count(out.String(), "after") != 1 {
		t.Errorf("exit %d, %q\n%s", code, errs.String(), out.String())
	}
}
