package head

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/sky-shift/skyctl/test/rke2kit/internal/bootstrap"
	"github.com/sky-shift/skyctl/test/rke2kit/internal/etcd"
	"github.com/sky-shift/skyctl/test/rke2kit/internal/token"
)

// bootstrapPaths are the files that the datastore keeps, under RKE2's names.
func (h *Head) bootstrapPaths() bootstrap.Paths {
	return bootstrap.Paths{
		"ServerCA": h.tlsPath("server-ca.crt"), "ServerCAKey": h.tlsPath("server-ca.key"),
		"ClientCA": h.tlsPath("client-ca.crt"), "ClientCAKey": h.tlsPath("client-ca.key"),
		"RequestHeaderCA":    h.tlsPath("request-header-ca.crt"),
		"RequestHeaderCAKey": h.tlsPath("request-header-ca.key"),
		"ETCDServerCA":       h.tlsPath("etcd/server-ca.crt"), "ETCDServerCAKey": h.tlsPath("etcd/server-ca.key"),
		"ServiceKey": h.tlsPath("service.key"),
		"PasswdFile": h.serverPath("cred", "passwd"),
	}
}

// knownPassword is the server token's password before there are certificates: the configured one, else that of an
// earlier start, else "".
func (h *Head) knownPassword() (string, error) {
	text := h.opts.Token
	if text == "" {
		data, err := os.ReadFile(h.serverPath("token"))
		if errors.Is(err, os.ErrNotExist) {
			return "", nil
		}
		if err != nil {
			return "", fmt.Errorf("read server token: %w", err)
		}
		text = string(data)
	}
	t, err := token.Parse(strings.TrimSpace(text))
	if err != nil {
		return "", fmt.Errorf("token: %w", err)
	}
	return t.Password, nil
}

// reconcileBootstrap makes the authorities on the disk agree with a datastore that has been in use, and rejects
// another server token than the datastore's.
func (h *Head) reconcileBootstrap() error {
	initialized, err := etcd.IsInitialized(h.etcdDir())
	if err != nil || !initialized {
		return err
	}
	keys, err := etcd.ReadPrefix(h.etcdDir(), bootstrap.KeyPrefix)
	if err != nil {
		return err
	}
	password, err := h.knownPassword()
	if err != nil {
		return err
	}
	data, err := bootstrap.Find(keys, password)
	if err != nil || data == nil {
		return err
	}
	return h.bootstrapPaths().Reconcile(data)
}

// keepBootstrap writes the authorities to the datastore, where they are not there as they are on the disk.
func (h *Head) keepBootstrap(ctx context.Context) error {
	client, err := h.newEtcdClient()
	if err != nil {
		return err
	}
	data, err := h.bootstrapPaths().Read()
	if err != nil {
		return err
	}
	var keys []etcd.KeyValue
	if err := h.awaitCondition(ctx, "etcd to keep the bootstrap data", func() error {
		keys, err = client.ListPrefix(ctx, bootstrap.KeyPrefix)
		return err
	}); err != nil {
		return err
	}
	stored, err := bootstrap.Find(keys, h.creds.server)
	if err != nil || isSameData(stored, data) {
		return err
	}
	sealed, err := bootstrap.Seal(data, h.creds.server)
	if err != nil {
		return err
	}
	return client.Put(ctx, bootstrap.Key(h.creds.server), sealed)
}

func isSameData(a, b bootstrap.Data) bool {
	if len(a) != len(b) {
		return false
	}
	for name, file := range a {
		if other, exists := b[name]; !exists || !bytes.Equal(file.Content, other.Content) {
			return false
		}
	}
	return true
}
