package config

import (
	"encoding/hex"
	"fmt"
	"path/filepath"
	"regexp"

	"github.com/spf13/pflag"
)

// EnvDir is the environment variable that moves the whole state directory.
const EnvDir = "SKYCONF_DIR"

const dirFlag = "config-dir"

func stateDir(flags *pflag.FlagSet, env func(string) string) (string, error) {
	dir := env(EnvDir)
	if flags != nil {
		if f := flags.Lookup(dirFlag); f != nil && f.Changed {
			dir = f.Value.String()
		}
	}
	if dir == "" {
		home := env("HOME")
		if home == "" {
			return "", fmt.Errorf("neither --%s, $%s nor $HOME is set: name a state directory with one of them",
				dirFlag, EnvDir)
		}
		dir = filepath.Join(home, ".skyconf")
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("finding the state directory %s: %w", dir, err)
	}
	return abs, nil
}

// ledgerDir is where what must not travel with a copy of the state directory is kept; empty where this person has no
// home.
func ledgerDir(env func(string) string) string {
	if state := env("XDG_STATE_HOME"); filepath.IsAbs(state) { // others are ignored, as its specification wants it
		return filepath.Join(state, "skyctl")
	}
	if home := env("HOME"); filepath.IsAbs(home) {
		return filepath.Join(home, ".local", "state", "skyctl")
	}
	return ""
}

// ConfigFile is the file that people write their settings into.
func (c *Config) ConfigFile() string { return filepath.Join(c.Dir, "config.yaml") }

// SkyPilotDir holds SkyPilot's virtual environment and the state of its local server.
func (c *Config) SkyPilotDir() string { return filepath.Join(c.Dir, "skypilot") }

// ServerDir holds the data of skyd dev: Temporal's database and etcd's.
func (c *Config) ServerDir() string { return filepath.Join(c.Dir, "server") }

// PKIDir holds the certificates of skyd dev.
func (c *Config) PKIDir() string { return filepath.Join(c.Dir, "pki") }

// PKIFile is a file of PKIDir.
func (c *Config) PKIFile(name string) string { return filepath.Join(c.PKIDir(), name) }

// LogFile is where a skyd dev in the background writes.
func (c *Config) LogFile() string { return filepath.Join(c.Dir, "skyd.log") }

// PIDFile holds the process id of skyd dev while it is ready.
func (c *Config) PIDFile() string { return filepath.Join(c.Dir, "skyd.pid") }

// LockFile is locked by skyd dev as long as it lives.
func (c *Config) LockFile() string { return filepath.Join(c.Dir, "skyd.lock") }

// StateFile says where a running skyd dev answers.
func (c *Config) StateFile() string { return filepath.Join(c.Dir, "server.json") }

// ClustersDir holds one directory per cluster.
func (c *Config) ClustersDir() string { return filepath.Join(c.Dir, "clusters") }

// ClusterDir holds what a person needs of one cluster.
func (c *Config) ClusterDir(name string) string {
	return filepath.Join(c.ClustersDir(), safePathElement(name))
}

// KubeconfigPath is where the kubeconfig of a cluster is written.
func (c *Config) KubeconfigPath(name string) string {
	return filepath.Join(c.ClusterDir(name), "kubeconfig")
}

var pathElementPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

// safePathElement keeps a name inside its directory whatever it is: ClusterDir("..") may be removed one day.
func safePathElement(name string) string {
	if pathElementPattern.MatchString(name) {
		return name
	}
	return "_" + hex.EncodeToString([]byte(name))
}
