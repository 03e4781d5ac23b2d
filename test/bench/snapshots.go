package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/sky-shift/skyctl/activities/snapshots"
	"github.com/sky-shift/skyctl/pkg/remote"
	"github.com/sky-shift/skyctl/pkg/rke2"
	"github.com/sky-shift/skyctl/pkg/vault"
	"github.com/sky-shift/skyctl/test/simcloud/etcdfile"
	"github.com/sky-shift/skyctl/test/sshserver"
)

const (
	collectTarget = 1.5 // times scp
	// collectedKeys of collectedBytes each make a snapshot of 100 MB.
	collectedKeys  = 24_000
	collectedBytes = 2_000
)

// collectBench copies one snapshot from a machine in two ways. The machine is an SSH server in this process, so both
// sides pay for it. Each opens a connection of its own, although skyd has one open as a rule.
type collectBench struct {
	*bench
	target  remote.Target
	key     []byte
	keyFile string
	file    rke2.SnapshotFile
	vault   vault.Vault
}

// measureSnapshots alternates collecting, which also checks, counts and seals, with a copy by OpenSSH's scp.
func measureSnapshots(ctx context.Context, b *bench) ([]resultRow, error) {
	c := &collectBench{bench: b}
	stop, err := c.prepare()
	if err != nil {
		return nil, err
	}
	defer stop()
	var collect, plain sample
	for i := range b.rounds + 1 {
		turns := []struct {
			run  func(context.Context) error
			took *sample
		}{{c.collect, &collect}, {c.copyWithSCP, &plain}}
		if i%2 == 1 {
			slices.Reverse(turns)
		}
		for _, t := range turns {
			awaitQuietMachine(ctx)
			began := time.Now()
			if err := t.run(ctx); err != nil {
				return nil, err
			}
			if i > 0 { // the first of each fills the caches
				t.took.addElapsed(began)
			}
		}
	}
	size := float64(c.file.Bytes) / 1e6
	return []resultRow{
		{what: fmt.Sprintf("collecting a snapshot of %.0f MB: copied, checked, counted and sealed", size),
			value: collect.formatSeconds(), target: fmt.Sprintf("at most %.1f x scp", collectTarget),
			ratio: formatPairs(collect, plain, "scp"), met: collect.medianRatio(plain) <= collectTarget},
		{what: fmt.Sprintf("baseline: scp of the %.0f MB", size), value: plain.formatSeconds()},
	}, nil
}

func (c *collectBench) prepare() (stop func(), err error) {
	keys := map[string][]byte{}
	for i := range collectedKeys {
		value := make([]byte, collectedBytes)
		if _, err := rand.Read(value); err != nil {
			return nil, err
		}
		keys["/registry/configmaps/default/"+strconv.Itoa(i)] = value
	}
	content, err := etcdfile.Write(nil, keys)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(c.dir, "snapshot")
	c.file = rke2.SnapshotFile{Name: "snapshot", Path: path, Bytes: int64(len(content))}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		return nil, err
	}
	hostKey, _, err := remote.NewKeyPair()
	if err != nil {
		return nil, err
	}
	key, authorized, err := remote.NewKeyPair()
	if err != nil {
		return nil, err
	}
	c.keyFile = filepath.Join(c.dir, "snapshot-key")
	if err := os.WriteFile(c.keyFile, key, 0o600); err != nil {
		return nil, err
	}
	server, err := sshserver.New(sshserver.Options{Address: "127.0.0.1", HostKey: hostKey, AuthorizedKey: authorized})
	if err != nil {
		return nil, err
	}
	c.target = server.Target
	c.target.Name, c.target.User = "snapshots", "root"
	c.key = key
	identity, err := vault.NewIdentity()
	if err == nil {
		c.vault, err = vault.NewDirectory(filepath.Join(c.dir, "vault"), identity, 1<<40)
	}
	return server.Stop, err
}

func (c *collectBench) collect(ctx context.Context) error {
	host, err := remote.Dial(ctx, c.target, c.key)
	if err != nil {
		return err
	}
	defer func() { _ = host.Close() }()
	kept, err := snapshots.CopyToVault(ctx, host, c.file, filepath.Join(c.dir, "vault"),
		func(r io.Reader) (int64, error) {
			return c.vault.Put(ctx, "u/snapshot", vault.WithSize(r, c.file.Bytes))
		})
	if err == nil && kept.Contents.Keys["/registry/configmaps"] != collectedKeys {
		err = fmt.Errorf("it counted %v", kept.Contents.Keys)
	}
	return err
}

// copyWithSCP copies the file as a person would, with scp's own protocol: the server has no SFTP.
func (c *collectBench) copyWithSCP(ctx context.Context) error {
	copied := filepath.Join(c.dir, "copied")
	cmd := exec.CommandContext(ctx, "scp", "-O", "-q", "-i", c.keyFile, "-P", strconv.Itoa(c.target.Port), "-F", "none",
		"-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "-o",
		"IdentitiesOnly=yes", "-o", "BatchMode=yes", c.target.User+"@"+c.target.Address+":"+c.file.Path, copied)
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("scp: %w", err)
	}
	info, err := os.Stat(copied)
	if err == nil && info.Size() != c.file.Bytes {
		err = fmt.Errorf("scp copied %d of %d bytes", info.Size(), c.file.Bytes)
	}
	return err
}
