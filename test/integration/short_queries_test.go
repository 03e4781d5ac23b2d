package integration

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/client"
)

// TestWorkerAnswersBeforeAStopAndARestore asks a real worker what skyctl asks before it stops or restores a cluster.
func TestWorkerAnswersBeforeAStopAndARestore(t *testing.T) {
	w := newWorld(t)
	ref := w.create("answers", 2, client.CreateOptions{})
	node := w.awaitReady(ref).Status.Machines[1].NodeName
	if found, err := w.ops.ListLocalData(t.Context(), ref); err != nil || found.Total != 0 {
		t.Errorf("an empty cluster: %+v, %v", found, err)
	}
	if err := w.cloud.AddPod(ref.UID, node, "shop/alone", "shop"); err != nil {
		t.Fatal(err)
	}
	if found, err := w.ops.ListLocalData(t.Context(), ref); err != nil || found.Total != 1 ||
		found.Data[0].String() != "pod shop/alone (no controller starts it again) on "+node {
		t.Errorf("a pod without a controller: %+v, %v", found, err)
	}

	asked, err := w.ops.CreateSnapshot(t.Context(), ref.Name, "one")
	if err != nil {
		t.Fatal(err)
	}
	kept, err := w.ops.AwaitSnapshotKept(t.Context(), asked.Snapshot, patience, func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.ops.CheckSnapshotFile(t.Context(), kept); err != nil {
		t.Errorf("a good file: %v", err)
	}
	file := filepath.Join(w.home, "snapshots", filepath.FromSlash(kept.Object))
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	content[len(content)/2] ^= 1
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := w.ops.CheckSnapshotFile(t.Context(), kept); !errors.As(err, new(*api.SnapshotRefusedError)) ||
		!strings.Contains(err.Error(), "damaged") {
		t.Errorf("a damaged file: %v", err)
	}
	deleting, err := w.ops.DeleteSnapshot(t.Context(), kept)
	if err == nil {
		err = w.ops.AwaitSnapshotDeleted(t.Context(), deleting.Snapshot, patience, func(string) {})
	}
	if _, gone := os.Stat(file); err != nil || !os.IsNotExist(gone) {
		t.Errorf("the deleted one: %v, its file: %v", err, gone)
	}
}

func TestCheckTriesPortsBetweenWorkers(t *testing.T) {
	w := newWorld(t)
	ref := w.create("paired", 4, client.CreateOptions{})
	w.awaitReady(ref)
	w.cloud.ClosePort("sky-paired-1", 10250, "silent")
	found, err := w.ops.CheckMachines(t.Context(), ref)
	if err != nil || len(found.Machines) != 4 {
		t.Fatalf("%+v, %v", found, err)
	}
	for _, m := range found.Machines {
		problems := slices.DeleteFunc(m.Findings, func(f api.Finding) bool { return f.Severity != api.FindingProblem })
		switch {
		case m.Machine != "sky-paired-1":
			if len(problems) > 0 || m.Unchecked != "" {
				t.Errorf("%+v", m)
			}
		case len(problems) != 1 || problems[0].Check != "Reach" ||
			!strings.Contains(problems[0].Message, "cannot reach port 10250/tcp of sky-paired-2 "):
			t.Errorf("a blocked pair: %+v", m)
		}
	}
}

// TestMachinesAreCheckedAgainLater asks a real worker what skyctl check --cluster asks.
func TestMachinesAreCheckedAgainLater(t *testing.T) {
	w := newWorld(t)
	ref := w.create("checked", 2, client.CreateOptions{})
	machines := w.awaitReady(ref).Status.Machines
	head, worker := machines[0].Name, machines[1].Name
	check := func() []api.MachineCheck {
		t.Helper()
		found, err := w.ops.CheckMachines(t.Context(), ref)
		if err != nil || len(found.Machines) != 2 || found.Machines[0].Machine != head {
			t.Fatalf("%+v, %v", found, err)
		}
		return found.Machines
	}
	if found := check(); !found[0].IsGood() || !found[1].IsGood() {
		t.Errorf("good machines: %+v", found)
	}
	w.cloud.FillDisk(worker, true)
	if found := check(); !found[0].IsGood() || found[1].IsGood() || found[1].Findings[0].Check != "Disk" {
		t.Errorf("a full disk: %+v", found)
	}
	w.cloud.FillDisk(worker, false)
	w.cloud.SilenceSSH(worker, true)
	if found := check(); !found[0].IsGood() || found[1].Unchecked == "" {
		t.Errorf("a silent machine: %+v", found)
	}
}
