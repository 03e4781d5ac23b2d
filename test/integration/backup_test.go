package integration

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/client"
	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/home"
	"github.com/sky-shift/skyctl/pkg/server/backup"
	"github.com/sky-shift/skyctl/pkg/store"
	"github.com/sky-shift/skyctl/test/devserver"
	"github.com/sky-shift/skyctl/test/simcloud"
)

// backUp writes a backup of a running state, and returns its file and key.
func (s *state) backUp() (file string, key backup.RecoveryKey) {
	s.t.Helper()
	key, err := backup.NewRecoveryKey()
	if err != nil {
		s.t.Fatal(err)
	}
	o := backup.CreateOptions{Config: s.cfg, Store: s.store, File: filepath.Join(s.t.TempDir(), "b"),
		Recipient: key.Recipient(), Build: backup.Build{Version: "devel", Level: api.WorkerLevel}, Now: time.Now}
	if err := backup.CheckCreate(s.t.Context(), o); err != nil {
		s.t.Fatal(err)
	}
	m, err := backup.Create(s.t.Context(), o)
	if err != nil {
		s.t.Fatal(err)
	}
	if all := s.listed(); m.Clusters != len(all) || m.Machines == 0 || m.Revision == 0 {
		s.t.Errorf("the backup has %+v, and there are %d clusters", m, len(all))
	}
	return o.File, key
}

// loseEverything ends a state and deletes its directory.
func (s *state) loseEverything() {
	s.t.Helper()
	s.running.Stop()
	_ = s.store.Close()
	if err := s.servers.Stop(); err != nil {
		s.t.Fatal(err)
	}
	if err := os.RemoveAll(s.servers.Config.Dir); err != nil {
		s.t.Fatal(err)
	}
}

// restore starts servers on a backup, restored into another directory. No worker runs.
func (s *state) restore(file string, key backup.RecoveryKey, to home.Location, ledger string) *state {
	s.t.Helper()
	dir := filepath.Join(s.t.TempDir(), "restored")
	paths, err := config.LoadPaths(nil, func(string) string { return dir })
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := backup.Restore(backup.RestoreOptions{Config: paths, File: file, Key: key,
		Build: backup.Build{Version: "devel", Level: api.WorkerLevel}, Now: time.Now}); err != nil {
		s.t.Fatal(err)
	}
	servers, err := devserver.StartServers(s.t.Context(), dir, io.Discard)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(servers.Close)
	return newState(s.t, servers, s.cloud, to, ledger)
}

func (s *state) sshKey(ref api.Ref) []byte {
	s.t.Helper()
	key, err := s.store.ReadSecret(s.t.Context(), ref, store.SecretSSHKey)
	if err != nil {
		s.t.Fatal(err)
	}
	return key
}

func TestBackupTakesEverythingOverOnAnEmptyComputer(t *testing.T) {
	a := newOriginal(t, t.TempDir())
	one := a.get(api.Ref{Name: "one"}).Ref()
	reached := make(chan struct{})
	a.cloud.InjectFault(simcloud.Fault{Op: simcloud.OpAwait, Machine: api.MachineName("two", 0), Times: 1,
		Do: holdAt(reached, make(chan struct{}))})
	two := a.create("two", 1, client.CreateOptions{})
	<-reached
	had := a.sshKey(one)
	file, key := a.backUp()
	a.loseEverything()

	b := a.restore(file, key, far, t.TempDir())
	launched := b.cloud.CountLaunches("sky-", "")
	b.begin()
	b.inDoubt(one, 0)
	b.adopt(1)
	b.healthy(one, 2)
	if !bytes.Equal(b.sshKey(one), had) {
		t.Error("the SSH key of the cluster differs")
	}
	b.sweep("") // takes up the create that Temporal does not know any more
	b.awaitReady(two)
	if n := b.cloud.CountLaunches("sky-", ""); n != launched {
		t.Errorf("%d machines were launched, %d before the create continued", n, launched)
	}
	for _, ref := range []api.Ref{one, two} {
		b.delete(ref, false)
		b.awaitGone(ref)
	}
	if left := b.cloud.ExistingMachines("sky-"); len(left) > 0 {
		t.Errorf("machines are left: %+v", left)
	}
}

// Nothing but the restore itself says that the state is an older one: its place, and the record of starts there, are
// the same.
func TestBackupRestoredInItsPlaceIsInDoubt(t *testing.T) {
	ledger := t.TempDir()
	a := newOriginal(t, ledger)
	one := a.get(api.Ref{Name: "one"}).Ref()
	file, key := a.backUp()
	a.awaitReady(a.create("later", 1, client.CreateOptions{}))
	a.loseEverything()

	b := a.restore(file, key, original, ledger)
	b.begin()
	b.inDoubt(one, 1)
	b.running.Stop()
	b.begin() // the next start does not end the doubt
	b.inDoubt(one, 1)
	// The repair that writes the kubeconfig again counts as tried if the stop interrupts it.
	if err := b.awaitRepair(one, b.adopt(1)); err != nil {
		t.Errorf("the repair: %v", err)
	}
	b.running.Stop()
	b.begin()
	if r := b.sweep(""); r.Doubt != nil {
		t.Errorf("in doubt again after the adoption: %+v", r.Doubt)
	}
	b.healthy(one, 2)
}

func TestBackupIsOfOneRevisionWhileSkydWrites(t *testing.T) {
	a := newOriginal(t, t.TempDir())
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			_ = a.store.RecordSweep(ctx, time.Now(), time.Minute)
		}
	}()
	file, key := a.backUp()
	stop()
	<-ended
	a.loseEverything()
	b := a.restore(file, key, far, t.TempDir())
	if all := b.listed(); len(all) != 1 {
		t.Errorf("%d clusters", len(all))
	}
}
