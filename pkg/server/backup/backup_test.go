package backup

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/server/daemon"
	"github.com/sky-shift/skyctl/pkg/store"
	"github.com/sky-shift/skyctl/pkg/store/secretbox"
	"github.com/sky-shift/skyctl/test/etcdserver"
)

var endpoint string

func TestMain(m *testing.M) { etcdserver.Main(m, &endpoint) }

var (
	build   = Build{Version: "v1.2.0", Level: 4}
	secrets = strings.Repeat("ab", secretbox.KeySize) + "\n"
)

const settings = "reconcile:\n  interval: 2m\n"

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// testBackup is a backup of a state with two clusters and three machines, one deleted of each.
type testBackup struct {
	create CreateOptions
	key    RecoveryKey
}

func newBackup(t *testing.T) testBackup {
	t.Helper()
	prefix := "/" + t.Name()
	dir := t.TempDir()
	cfg := &config.Config{Dir: dir, SecretsKeyFile: filepath.Join(dir, "secrets.key")}
	cfg.Etcd.Prefix = prefix
	must(t, os.WriteFile(cfg.SecretsKeyFile, []byte(secrets), 0o600))
	must(t, os.WriteFile(cfg.ConfigFile(), []byte(settings), 0o600))
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{endpoint}, DialTimeout: 10 * time.Second})
	must(t, err)
	t.Cleanup(func() { _ = c.Close() })
	for _, key := range []string{"/installation", "/clusters/a", "/clusters/b", "/clusters/gone", "/machines/u/0000",
		"/machines/u/0001",
		"/machines/u/0002", "/machines/u/gone"} {
		_, err := c.Put(t.Context(), prefix+key, "{}")
		must(t, err)
	}
	for _, key := range []string{"/clusters/gone", "/machines/u/gone"} {
		_, err := c.Delete(t.Context(), prefix+key)
		must(t, err)
	}
	key, err := NewRecoveryKey()
	must(t, err)
	return testBackup{CreateOptions{Config: cfg, Store: store.New(c, prefix, nil), Recipient: key.Recipient(),
		File: filepath.Join(t.TempDir(), "state.backup"), Build: build, Now: time.Now}, key}
}

func (b testBackup) write(t *testing.T) Manifest {
	t.Helper()
	must(t, CheckCreate(t.Context(), b.create))
	m, err := Create(t.Context(), b.create)
	must(t, err)
	return m
}

func (b testBackup) restoreOptions(dir string) RestoreOptions {
	return RestoreOptions{Config: &config.Config{Dir: dir}, File: b.create.File, Key: b.key, Build: build,
		Now: time.Now}
}

// listFiles returns the paths below a directory with their contents.
func listFiles(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	must(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		found[strings.TrimPrefix(path, dir+"/")] = string(data)
		return err
	}))
	return found
}

func TestBackupHoldsTheStateAndNothingReadable(t *testing.T) {
	b := newBackup(t)
	m := b.write(t)
	if m.Clusters != 2 || m.Machines != 3 || m.Revision < 9 || m.Installation == "" || m.Version != build.Version {
		t.Errorf("manifest %+v", m)
	}
	sealed, err := os.ReadFile(b.create.File)
	must(t, err)
	info, err := os.Stat(b.create.File)
	must(t, err)
	if info.Mode().Perm() != 0o600 || bytes.Contains(sealed, []byte("abababab")) ||
		bytes.Contains(sealed, []byte("/clusters/")) {
		t.Errorf("mode %o, or the content can be read", info.Mode().Perm())
	}
	if left := listFiles(t, b.create.Config.Dir); len(left) != 3 { // the key, the settings and the lock
		t.Errorf("files are left: %d", len(left))
	}

	dir := filepath.Join(t.TempDir(), "new")
	done, err := Restore(b.restoreOptions(dir))
	must(t, err)
	if done.Revision != m.Revision || done.KeptIn != "" {
		t.Errorf("restored %+v", done)
	}
	files := listFiles(t, dir)
	if files["secrets.key"] != secrets || files["config.yaml"] != settings || files["restore/etcd.snapshot"] == "" ||
		!strings.Contains(files["restore/restored.json"], `"id"`) || len(files) != 5 { // and the lock
		t.Errorf("%d files: %q, %q", len(files), files["config.yaml"], files["restore/restored.json"])
	}
}

// keepSnapshot keeps a file as skyd does, and records it.
func (b testBackup) keepSnapshot(t *testing.T, uid, name string, ago time.Duration) {
	t.Helper()
	dir := filepath.Join(b.create.Config.Snapshots.Dir, uid)
	must(t, os.MkdirAll(dir, 0o700))
	must(t, os.WriteFile(filepath.Join(dir, name), []byte("sealed "+name), 0o600))
	must(t, b.create.Store.CreateSnapshot(t.Context(), api.Snapshot{Name: name, Cluster: "a", ClusterUID: uid,
		State: api.SnapshotKept, Place: api.SnapshotPlaceSkyd, Object: uid + "/" + name, TakenAt: time.Now().Add(-ago),
		SealedBytes: int64(len("sealed " + name))}))
}

func TestBackupCanHoldTheNewestSnapshotOfEachCluster(t *testing.T) {
	b := newBackup(t)
	b.create.Config.Snapshots.Dir = t.TempDir()
	b.keepSnapshot(t, "u", "old", time.Hour)
	b.keepSnapshot(t, "u", "new", time.Minute)
	b.keepSnapshot(t, "v", "whole", time.Hour)
	b.keepSnapshot(t, "v", "cut", time.Minute)
	must(t, os.WriteFile(filepath.Join(b.create.Config.Snapshots.Dir, "v", "cut"), []byte("seal"), 0o600))
	b.keepSnapshot(t, "w", "gone", time.Minute)
	must(t, os.RemoveAll(filepath.Join(b.create.Config.Snapshots.Dir, "w")))
	if m := b.write(t); m.ClusterSnapshots() != 0 || m.Format != 1 {
		t.Errorf("without the option: %+v", m)
	}
	b.create.WithSnapshots, b.create.Force = true, true
	if m := b.write(t); m.ClusterSnapshots() != 2 || m.Format != 2 {
		t.Errorf("manifest %+v", m)
	}
	dir := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(dir, "snapshots", "u"), 0o700))
	o := b.restoreOptions(dir)
	occupied := new(OccupiedError)
	if _, err := Restore(o); !errors.As(err, &occupied) {
		t.Errorf("beside other snapshots: %v", err)
	}
	o.Force = true
	_, err := Restore(o)
	must(t, err)
	files := listFiles(t, dir)
	if files["snapshots/u/new"] != "sealed new" || files["snapshots/v/whole"] != "sealed whole" ||
		files["snapshots/u/old"]+files["snapshots/v/cut"] != "" || files["secrets.key"] != secrets {
		t.Errorf("restored %d files: %q", len(files), files["snapshots/u/new"])
	}
}

// A snapshot that is kept while the backup is made is not in its etcd: the file would be of no use.
func TestBackupHasTheRecordsOfItsSnapshots(t *testing.T) {
	b := newBackup(t)
	b.create.Config.Snapshots.Dir = t.TempDir()
	b.create.WithSnapshots = true
	b.keepSnapshot(t, "u", "before", time.Hour)
	now := b.create.Now
	b.create.Now = func() time.Time { // is called once etcd is saved
		b.keepSnapshot(t, "u", "meanwhile", time.Minute)
		return now()
	}
	if m := b.write(t); m.ClusterSnapshots() != 1 || m.Files[len(m.Files)-1].Name != "snapshots/u/before" {
		t.Errorf("manifest %+v", m)
	}
}

func TestBackupWithoutSettingsCanBeRestored(t *testing.T) {
	b := newBackup(t)
	must(t, os.Remove(b.create.Config.ConfigFile()))
	b.write(t)
	dir := filepath.Join(t.TempDir(), "new")
	_, err := Restore(b.restoreOptions(dir))
	must(t, err)
	if files := listFiles(t, dir); files["secrets.key"] != secrets || len(files) != 4 {
		t.Errorf("%d files", len(files))
	}
}

func TestFileThatExistsIsReplacedOnlyWithForce(t *testing.T) {
	b := newBackup(t)
	b.write(t)
	before, err := os.ReadFile(b.create.File)
	must(t, err)
	exists := new(ExistsError)
	if err := CheckCreate(t.Context(), b.create); !errors.As(err, &exists) {
		t.Errorf("check: %v", err)
	}
	if _, err := Create(t.Context(), b.create); !errors.As(err, &exists) {
		t.Errorf("create: %v", err)
	}
	if now, err := os.ReadFile(b.create.File); err != nil || !bytes.Equal(now, before) {
		t.Errorf("the file was changed: %v", err)
	}
	b.create.Force = true
	b.write(t)
	if now, err := os.ReadFile(b.create.File); err != nil || bytes.Equal(now, before) {
		t.Errorf("the file was not replaced: %v", err)
	}
}

func TestBackupThatCannotBeMadeIsRefusedFirst(t *testing.T) {
	b := newBackup(t)
	for says, change := range map[string]func(*CreateOptions){
		"no such file or directory": func(o *CreateOptions) { o.File = filepath.Join(t.TempDir(), "missing", "b") },
		"is not a regular file":     func(o *CreateOptions) { o.File = t.TempDir() },
		"reading the secrets key": func(o *CreateOptions) {
			c := *o.Config
			c.SecretsKeyFile = "/nowhere"
			o.Config = &c
		},
	} {
		o := b.create
		change(&o)
		if err := CheckCreate(t.Context(), o); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("got %v, want %q", err, says)
		}
	}
	room := new(RoomError)
	if err := requireRoom(t.TempDir(), 1<<60); !errors.As(err, &room) {
		t.Errorf("a backup of an exbibyte: %v", err)
	}
}

func TestKeyThatWorkersDoNotUseIsNotBackedUp(t *testing.T) {
	b := newBackup(t)
	other := bytes.Repeat([]byte{7}, secretbox.KeySize)
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{endpoint}})
	must(t, err)
	t.Cleanup(func() { _ = c.Close() })
	must(t, store.New(c, "/"+t.Name(), other).RecordSecretsKey(t.Context(), time.Now()))
	wrong := new(store.OtherKeyError)
	if err := CheckCreate(t.Context(), b.create); !errors.As(err, &wrong) {
		t.Errorf("got %v", err)
	}
}

func TestOneBackupIsMadeAtATime(t *testing.T) {
	b := newBackup(t)
	lock, err := daemon.AcquireLock(filepath.Join(b.create.Config.Dir, "backup.lock"))
	must(t, err)
	busy := new(BusyError)
	if _, err := Create(t.Context(), b.create); !errors.As(err, &busy) {
		t.Errorf("got %v", err)
	}
	must(t, lock.Release())
	b.write(t)
}

func TestFileThatCannotBeRestoredChangesNothing(t *testing.T) {
	b := newBackup(t)
	b.write(t)
	whole, err := os.ReadFile(b.create.File)
	must(t, err)
	flipped := func(at int) []byte {
		data := bytes.Clone(whole)
		data[at] ^= 1
		return data
	}
	other, err := NewRecoveryKey()
	must(t, err)
	for name, c := range map[string]struct {
		content []byte
		change  func(*RestoreOptions)
		says    string
	}{
		"another key": {content: whole, change: func(o *RestoreOptions) {
			o.Key = other
		}, says: "another recovery key"},
		"not a backup":     {content: []byte("hello\n"), says: "not a backup"},
		"empty":            {content: nil, says: "not a backup"},
		"cut in its head":  {content: whole[:60], says: "damaged or incomplete"},
		"cut in half":      {content: whole[:len(whole)/2], says: "damaged or incomplete"},
		"cut by one byte":  {content: whole[:len(whole)-1], says: "damaged or incomplete"},
		"longer":           {content: append(bytes.Clone(whole), 0), says: "damaged or incomplete"},
		"a bit in the end": {content: flipped(len(whole) - 1), says: "damaged or incomplete"},
		"a bit inside":     {content: flipped(len(whole) / 3), says: "damaged or incomplete"},
		"a newer release": {content: whole, change: func(o *RestoreOptions) {
			o.Build.Version = "v1.1.9"
		}, says: "newer version"},
		"a newer level": {content: whole, change: func(o *RestoreOptions) {
			o.Build.Level = 3
		}, says: "newer version"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "new")
			o := b.restoreOptions(dir)
			o.File = filepath.Join(t.TempDir(), "f")
			must(t, os.WriteFile(o.File, c.content, 0o600))
			if c.change != nil {
				c.change(&o)
			}
			invalid := new(FileError)
			if _, err := Restore(o); !errors.As(err, &invalid) || !strings.Contains(err.Error(), c.says) ||
				!strings.HasPrefix(err.Error(), o.File) {
				t.Errorf("got %v, want %q", err, c.says)
			}
			if _, err := os.Stat(dir); !os.IsNotExist(err) {
				t.Errorf("the directory was created: %v", err)
			}
		})
	}
}

// sealed writes a file as Create does, with any content.
func (b testBackup) sealed(t *testing.T, m Manifest, contents ...string) string {
	t.Helper()
	var files []source
	for i, f := range m.Files {
		files = append(files, source{FileEntry{Name: f.Name, Bytes: int64(len(contents[i]))},
			func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(contents[i])), nil }})
	}
	var text bytes.Buffer
	must(t, writeArchive(&text, b.create.Recipient, m, files))
	name := filepath.Join(t.TempDir(), "sealed")
	must(t, os.WriteFile(name, text.Bytes(), 0o600))
	return name
}

func TestSealedFileWithOtherContentIsRefused(t *testing.T) {
	key, err := NewRecoveryKey()
	must(t, err)
	b := testBackup{CreateOptions{Recipient: key.Recipient()}, key}
	const none = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" // SHA-256 of nothing
	for says, files := range map[string][]FileEntry{
		"other files":                      {{Name: "../evil", SHA256: none}},
		"the checksum of secrets.key":      {{Name: secretsKeyFile, SHA256: "00"}, {Name: SnapshotFile, SHA256: none}},
		"the snapshot of etcd is incomple": {{Name: secretsKeyFile, SHA256: none}, {Name: SnapshotFile, SHA256: none}},
		"in format 3":                      nil,
	} {
		m := Manifest{Format: 1, Version: "v1.0.0", Files: files}
		if files == nil {
			m.Format = 3
		}
		dir := filepath.Join(t.TempDir(), "new")
		o := b.restoreOptions(dir)
		o.File = b.sealed(t, m, make([]string, len(files))...)
		if _, err := Restore(o); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("got %v, want %q", err, says)
		}
		if _, err := os.Stat(dir); !os.IsNotExist(err) {
			t.Errorf("%s: the directory was created: %v", says, err)
		}
	}
}

// The seal is checked to the end of the file, also behind what the archive needs.
func TestDamageBehindTheArchiveIsFound(t *testing.T) {
	b := newBackup(t)
	b.write(t)
	f, err := os.Open(b.create.File)
	must(t, err)
	defer f.Close()
	plain, err := age.Decrypt(f, b.key.identity)
	must(t, err)
	archive, err := io.ReadAll(plain)
	must(t, err)
	var longer bytes.Buffer
	w, err := age.Encrypt(&longer, b.key.identity.Recipient())
	must(t, err)
	_, err = w.Write(append(archive, make([]byte, 256<<10)...))
	must(t, err)
	must(t, w.Close())
	o := b.restoreOptions(filepath.Join(t.TempDir(), "new"))
	o.File = filepath.Join(t.TempDir(), "f")
	must(t, os.WriteFile(o.File, longer.Bytes()[:longer.Len()-1], 0o600))
	if _, err := Restore(o); err == nil || !strings.Contains(err.Error(), "damaged or incomplete") {
		t.Errorf("got %v", err)
	}
}

func TestStateThatIsThereIsKeptBesideWithForce(t *testing.T) {
	b := newBackup(t)
	b.write(t)
	dir := t.TempDir()
	o := b.restoreOptions(dir)
	for name, content := range map[string]string{"server/etcd/x": "old etcd", "secrets.key": "old key",
		"restore/y": "old restore", "skypilot/venv": "stays"} {
		must(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700))
		must(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
	}
	before := listFiles(t, dir)
	occupied := new(OccupiedError)
	if _, err := Restore(o); !errors.As(err, &occupied) ||
		!strings.Contains(err.Error(), "restore, server, secrets.key") {
		t.Errorf("got %v", err)
	}
	if now := listFiles(t, dir); len(now) != len(before) || now["secrets.key"] != "old key" {
		t.Errorf("files were changed: %v", now)
	}
	o.Force = true
	done, err := Restore(o)
	must(t, err)
	kept := strings.TrimPrefix(done.KeptIn, dir+"/")
	now := listFiles(t, dir)
	if now[kept+"/server/etcd/x"] != "old etcd" || now[kept+"/secrets.key"] != "old key" ||
		now[kept+"/restore/y"] != "old restore" || now["skypilot/venv"] != "stays" || now["secrets.key"] != secrets {
		t.Errorf("kept in %q: %v", kept, now)
	}
}

func TestDirectoryOfARunningSkydIsRefused(t *testing.T) {
	b := newBackup(t)
	b.write(t)
	o := b.restoreOptions(t.TempDir())
	o.Force = true
	lock, err := daemon.AcquireLock(o.Config.LockFile())
	must(t, err)
	inUse := new(InUseError)
	if _, err := Restore(o); !errors.As(err, &inUse) || !strings.Contains(err.Error(), "skyctl server stop") {
		t.Errorf("got %v", err)
	}
	must(t, lock.Release())
	_, err = Restore(o)
	must(t, err)
}

func TestRecoveryKeyIsReadAsPeopleKeepIt(t *testing.T) {
	key, err := NewRecoveryKey()
	must(t, err)
	for _, text := range []string{key.Secret(), "  " + key.Secret() + "\r\n", string(key.formatFile(time.Now()))} {
		if got, err := ParseRecoveryKey([]byte(text)); err != nil || got.Secret() != key.Secret() {
			t.Errorf("got %v", err)
		}
	}
	wrong := key.Secret()[:len(key.Secret())-1]
	for _, text := range []string{"", "# nothing\n", wrong, key.Secret() + "\n" + key.Secret(), key.Recipient()} {
		if _, err := ParseRecoveryKey([]byte(text)); err == nil || strings.Contains(err.Error(), wrong[18:]) {
			t.Errorf("%d bytes: %v", len(text), err)
		}
	}
	if CheckRecipient(key.Recipient()) != nil || CheckRecipient(key.Secret()) == nil || CheckRecipient("age1x") == nil {
		t.Error("recipients are not told from others")
	}
}

func TestOnlyReleasesHaveAnOrder(t *testing.T) {
	for _, c := range []struct {
		a, b  string
		newer bool
	}{{"v1.3.0", "v1.2.9", true}, {"v1.2.9", "v1.3.0", false}, {"devel", "v1.0.0", false}, {"v9.0.0", "devel", false},
		{"v1.0.0", "v1.0.0", false}} {
		if isNewerRelease(c.a, c.b) != c.newer {
			t.Errorf("%s and %s", c.a, c.b)
		}
	}
}

func TestOnlySnapshotsMayFollowTheFilesOfABackup(t *testing.T) {
	for names, ok := range map[string]bool{
		"secrets.key etcd.snapshot snapshots/u/a":                true,
		"secrets.key config.yaml etcd.snapshot snapshots/u/a":    true,
		"secrets.key snapshots/u/a etcd.snapshot":                false,
		"secrets.key etcd.snapshot snapshots/u/a snapshots/u/a":  false,
		"secrets.key etcd.snapshot snapshots/../a":               false,
		"secrets.key etcd.snapshot snapshots/u/../../../etc/a":   false,
		"secrets.key etcd.snapshot snapshots/u/.lock":            false,
		"secrets.key etcd.snapshot snapshots/a":                  false,
		"secrets.key etcd.snapshot snapshots/u/a other":          false,
		"secrets.key etcd.snapshot /snapshots/u/a snapshots/u/b": false,
	} {
		var m Manifest
		for _, name := range strings.Fields(names) {
			m.Files = append(m.Files, FileEntry{Name: name})
		}
		if err := m.checkFiles(); (err == nil) != ok {
			t.Errorf("%s: %v", names, err)
		}
	}
}
