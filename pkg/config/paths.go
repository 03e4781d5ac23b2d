package config

import (
	"encoding/hex"
	"fmt"
	"path/filepath"

	"github.com/spf13/pflag"

	"github.com/sky-shift/skyctl/pkg/lazyregexp"
)

// EnvDir is the environment variable that sets the state directory.
const EnvDir = "SKYCONF_DIR"

// DirFlag is the flag that sets the state directory.
const DirFlag = "config-dir"

func stateDir(flags *pflag.FlagSet, env func(string) string) (string, error) {
	dir := env(EnvDir)
	if flags != nil {
		if f := flags.Lookup(DirFlag); f != nil && f.Changed {
			if dir = f.Value.String(); dir == "" { // as from an unset variable in a script
				return "", fmt.Errorf("--%s is empty: name a directory, or leave the flag out", DirFlag)
			}
		}
	}
	if dir == "" {
		dir = DefaultDir(env)
	}
	if dir == "" {
		return "", fmt.Errorf("the state directory is unknown: set --%s, $%s or $HOME", DirFlag, EnvDir)
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("finding the state directory %s: %w", dir, err)
	}
	return abs, nil
}

// DefaultDir is the state directory of a person who chooses none; empty if they have no home directory.
func DefaultDir(env func(string) string) string {
	if home := env("HOME"); home != "" {
		return filepath.Join(home, ".skyconf")
	}
	return ""
}

// ledgerDir is the directory of files that must not be copied together with the state directory. It is empty if the
// user has no home directory.
func ledgerDir(env func(string) string) string {
	if state := env("XDG_STATE_HOME"); filepath.IsAbs(state) { // the XDG specification says to ignore relative paths
		return filepath.Join(state, "skyctl")
	}
	if home := env("HOME"); filepath.IsAbs(home) {
		return filepath.Join(home, ".local", "state", "skyctl")
	}
	return ""
}

// ConfigFile is the settings file that users edit.
func (c *Config) ConfigFile() string { return filepath.Join(c.Dir, "config.yaml") }

// SkyPilotDir holds SkyPilot's virtual environment and the state of its local server.
func (c *Config) SkyPilotDir() string { return filepath.Join(c.Dir, "skypilot") }

// ServerDir holds the data of skyd dev: Temporal's database and etcd's.
func (c *Config) ServerDir() string { return filepath.Join(c.Dir, "server") }

// RestoreDir holds a restored backup until skyd dev has created its data from it.
func (c *Config) RestoreDir() string { return filepath.Join(c.Dir, "restore") }

// PKIDir holds the certificates of skyd dev.
func (c *Config) PKIDir() string { return filepath.Join(c.Dir, "pki") }

// PKIFile is the path of a file in PKIDir.
func (c *Config) PKIFile(name string) string { return filepath.Join(c.PKIDir(), name) }

// LogFile is the log of a skyd dev in the background.
func (c *Config) LogFile() string { return filepath.Join(c.Dir, "skyd.log") }

// PIDFile holds the process id of skyd dev while it is ready.
func (c *Config) PIDFile() string { return filepath.Join(c.Dir, "skyd.pid") }

// LockFile is locked by skyd dev while it runs.
func (c *Config) LockFile() string { return filepath.Join(c.Dir, "skyd.lock") }

// StateFile contains the addresses of a running skyd dev.
func (c *Config) StateFile() string { return filepath.Join(c.Dir, "server.json") }

// PortsFile records the ports that skyd dev chose because others were taken.
func (c *Config) PortsFile() string { return filepath.Join(c.Dir, "ports.json") }

// ClustersDir holds one directory per cluster.
func (c *Config) ClustersDir() string { return filepath.Join(c.Dir, "clusters") }

// ClusterDir holds the files of one cluster for the user.
func (c *Config) ClusterDir(name string) string {
	return filepath.Join(c.ClustersDir(), safePathElement(name))
}

// KubeconfigPath is the path of the kubeconfig of a cluster.
func (c *Config) KubeconfigPath(name string) string {
	return filepath.Join(c.ClusterDir(name), "kubeconfig")
}

var pathElementPattern = lazyregexp.New(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

// safePathElement makes any name safe as a path element: ClusterDir("..") must not leave the directory.
func safePathElement(name string) string {
	if pathElementPattern.MatchString(name) {
		return name
	}
	return "_" + hex.EncodeToString([]byte(name))
}
