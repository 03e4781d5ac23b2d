package simcloud

import (
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/sky-shift/skyctl/test/simcloud/etcdfile"
)

const resetDone = "Managed etcd cluster membership has been reset, restart without --cluster-reset flag now. " +
	"Backup and delete ${datadir}/server/db on each peer etcd server and rejoin the nodes"

// runServer is `rke2 server` with --cluster-reset: it changes etcd's directory and ends. A server that goes on running
// is started by its unit only.
func (c *rke2Command) runServer(args []string) error {
	flags, rest, err := parseFlags(args, "cluster-reset")
	h := c.host
	reset, path := flags["cluster-reset"] == "true", flags["cluster-reset-restore-path"]
	switch {
	case err != nil:
		return err
	case len(rest) > 0:
		return fmt.Errorf("unexpected argument %q: settings are given as --key=value", rest[0])
	case path != "" && !reset:
		return errors.New("invalid flag use; --cluster-reset required with --cluster-reset-restore-path")
	case !reset:
		return errors.New("start the server by its unit")
	case h.configValue("server") != "" || flags["server"] != "":
		return errors.New("cannot perform cluster-reset while server URL is set - remove server from configuration " +
			"before resetting")
	case h.api == nil || h.isUnitActive("rke2-server"):
		return errors.New("another rke2 runs on " + rke2Dir)
	}
	token := h.configuredToken(cmp.Or(flags["token"], c.token))
	if path != "" && token == "" {
		return fmt.Errorf("%s/token does not exist, please pass --token to complete the restoration", serverDir)
	}
	h.etcdMu.Lock()
	defer h.etcdMu.Unlock()
	if err := h.resetEtcd(c, path, token); err != nil {
		return err
	}
	c.logf("info", resetDone)
	return nil
}

// configuredToken is the server token: one that is given, that of the configuration, or that of an earlier start.
func (h *host) configuredToken(given string) string {
	configured := h.configValue("token")
	if file := h.configValue("token-file"); configured == "" && file != "" {
		configured = h.readFile(file)
	}
	return cmp.Or(given, configured, h.readFile(serverDir+"/token"))
}

// resetEtcd does what RKE2 does, in its order: a snapshot that is found to be damaged or to have another token leaves
// the old database beside the new one.
func (h *host) resetEtcd(c *rke2Command, path, token string) error {
	flag := h.outsidePath(serverDir + "/db/reset-flag")
	if path == "" {
		if _, err := os.Stat(flag); err == nil {
			return fmt.Errorf("start managed database: Managed etcd cluster membership was previously reset, please "+
				"remove the cluster-reset flag and start rke2 normally. If you need to perform another cluster reset, "+
				"you must first manually delete the file at %s/db/reset-flag", serverDir)
		}
		// The next start is at the address of the configuration.
		return errors.Join(os.RemoveAll(h.outsidePath(etcdDir+"/member/peer")),
			os.MkdirAll(h.outsidePath(etcdDir), 0o700),
			os.WriteFile(flag, nil, 0o600))
	}
	info, err := os.Stat(h.outsidePath(path))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("start managed database: etcd: snapshot path does not exist: %s", path)
	case err != nil:
		return err
	case info.IsDir():
		return fmt.Errorf("start managed database: etcd: snapshot path must be a file, not a directory: %s", path)
	}
	file, err := os.ReadFile(h.outsidePath(path))
	if err != nil {
		return err
	}
	if err := h.setOldEtcdAside(c); err != nil {
		return err
	}
	keys, _, err := etcdfile.Read(file)
	if err != nil {
		return fmt.Errorf("start managed database: exit status 1: %w", err)
	}
	h.etcd = file
	return errors.Join(h.startFromState(keys, token), os.WriteFile(flag, nil, 0o600))
}

// setOldEtcdAside leaves the server without a state.
func (h *host) setOldEtcdAside(c *rke2Command) error {
	if err := os.MkdirAll(h.outsidePath(etcdDir), 0o700); err != nil {
		return err
	}
	// A real reset takes longer than a second, so that no two have the same time.
	old := ""
	for second := time.Now().Unix(); ; second++ {
		old = fmt.Sprintf("%s-old-%d", etcdDir, second)
		if _, err := os.Stat(h.outsidePath(old)); err != nil {
			break
		}
	}
	if err := os.Rename(h.outsidePath(etcdDir), h.outsidePath(old)); err != nil {
		return err
	}
	c.logf("info", "Pre-restore etcd database moved to %s", old)
	h.etcd = nil
	return h.api.registry.loadState(nil)
}

// startFromState makes the keys the server's state, under the token with which its authorities are sealed.
func (h *host) startFromState(keys map[string][]byte, token string) error {
	sealed := ""
	for key := range keys {
		if hash, is := strings.CutPrefix(key, bootstrapKey); is {
			sealed = hash
		}
	}
	suffix := make([]byte, 4)
	_, _ = rand.Read(suffix)
	err := os.MkdirAll(h.outsidePath(etcdDir+"/member"), 0o700)
	for file, text := range map[string]string{"/name": h.configValue("node-name") + "-" + hex.EncodeToString(suffix),
		"/member/sealed": sealed} {
		err = errors.Join(err, h.writeFile(etcdDir+file, text, 0o600))
	}
	if err != nil {
		return err
	}
	if err := h.api.registry.loadState(keys); err != nil {
		return err
	}
	if sealed != hashToken(token) {
		return errOtherToken
	}
	// The first normal start forgets the password of its own Node; nothing sees it before.
	h.api.registry.deletePasswordSecret(h.configValue("node-name") + passwordSecretSuffix)
	return errors.Join(h.api.rejectOtherPasswords(), h.takeOverAuthority(keys[bootstrapKey+sealed], token))
}
