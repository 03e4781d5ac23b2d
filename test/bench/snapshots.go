package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
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
	collectTarget = 1.5 // times a plain copy
	// collectedKeys of collectedBytes each make a snapshot of 100 MB.
	collectedKeys  = 24_000
	collectedBytes = 2_000
)

// collectBench copies one snapshot from a machine in two ways. The machine is an SSH server in this process, so both
// sides pay for it.
type collectBench struct {
	*bench
	host    *remote.Host
	target  remote.Target
	keyFile string
	file    rke2.SnapshotFile
	vault   vault.Vault
}

// measureSnapshots alternates collecting, which also checks, counts and seals, with a copy by OpenSSH's client.
func measureSnapshots(ctx context.Context, b *bench) ([]resultRow, error) {
	c := &collectBench{bench: b}
	stop, err := c.prepare(ctx)
	if err != nil {
		return nil, err
	}
	defer stop()
	var collect, plain, pairs sample
	for i := range b.rounds + 1 {
		took := [2]sample{}
		for j, run := range []func(context.Context) error{c.collect, c.copyPlain} {
			began := time.Now()
			if err := run(ctx); err != nil {
				return nil, err
			}
			took[j].addElapsed(began)
		}
		if i == 0 { // fills the caches
			continue
		}
		collect, plain = append(collect, took[0]...), append(plain, took[1]...)
		pairs.addValue(took[0][0] / took[1][0])
	}
	const name = "ssh cat"
	size := float64(c.file.Bytes) / 1e6
	return []resultRow{
		{what: fmt.Sprintf("collecting a snapshot of %.0f MB", size), value: collect.formatSeconds(),
			target: fmt.Sprintf("at most %.1f x a plain copy", collectTarget),
			ratio: fmt.Sprintf("%s (by round %.2f-%.2f)", collect.formatRatio(plain, name), pairs.minValue(),
				pairs.maxValue()),
			met: collect.medianRatio(plain) <= collectTarget},
		{what: fmt.Sprintf("baseline: ssh HOST cat of %.0f MB", size), value: plain.formatSeconds()},
	}, nil
}

func (c *collectBench) prepare(ctx context.Context) (stop func(), err error) {
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
	if c.host, err = remote.Dial(ctx, c.target, key); err != nil {
		server.Stop()
		return nil, err
	}
	identity, err := vault.NewIdentity()
	if err == nil {
		c.vault, err = vault.NewDirectory(filepath.Join(c.dir, "vault"), identity, 1<<40)
	}
	return func() {
		_ = c.host.Close()
		server.Stop()
	}, err
}

func (c *collectBench) collect(ctx context.Context) error {
	kept, err := snapshots.CopyToVault(ctx, c.host, c.file, filepath.Join(c.dir, "vault"),
		func(r io.Reader) (int64, error) {
			return c.vault.Put(ctx, "u/snapshot", vault.WithSize(r, c.file.Bytes))
		})
	if err == nil && kept.Contents.Keys["/registry/configmaps"] != collectedKeys {
		err = fmt.Errorf("it counted %v", kept.Contents.Keys)
	}
	return err
}

// copyPlain copies the file as a person would.
func (c *collectBench) copyPlain(ctx context.Context) error {
	out, err := os.Create(filepath.Join(c.dir, "copied"))
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "ssh", "-i", c.keyFile, "-p", strconv.Itoa(c.target.Port), "-F", "none",
		"-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "-o",
		"IdentitiesOnly=yes", "-o", "BatchMode=yes", c.target.User+"@"+c.target.Address, "cat", c.file.Path)
	cmd.Stdout, cmd.Stderr = out, os.Stderr
	if err := cmd.Run(); err != nil {
		_ = out.Close()
		return fmt.Errorf("ssh: %w", err)
	}
	info, err := out.Stat()
	if err == nil && info.Size() != c.file.Bytes {
		err = fmt.Errorf("ssh copied %d of %d bytes", info.Size(), c.file.Bytes)
	}
	if closed := out.Close(); err == nil {
		err = closed
	}
	return err
}
