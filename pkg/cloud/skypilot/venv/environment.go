// Package venv describes the Python environment that skyctl runs SkyPilot in, apart from any SkyPilot of the person's
// own.
package venv

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/cloud/skypilot/client"
)

// Environment is what programs of SkyPilot run in.
type Environment struct {
	// Dir keeps everything of the local server and the virtual environment.
	Dir string
	// Python is the interpreter that has SkyPilot.
	Python string
	// Port is the local server's.
	Port int
	// Endpoint is the API server; empty means the local one.
	Endpoint string
	// Usage lets SkyPilot send usage data to its makers.
	Usage bool
	// Env are further variables (KEY=value); they override those of this process.
	Env []string
}

// RuntimeDir is SkyPilot's state.
func (e Environment) RuntimeDir() string { return filepath.Join(e.Dir, "state") }

// PluginDir holds the Python modules of skyctl.
func (e Environment) PluginDir() string { return filepath.Join(e.Dir, "plugins") }

// PluginsFilePath lists the plugins of the local server.
func (e Environment) PluginsFilePath() string { return filepath.Join(e.Dir, "plugins.yaml") }

// ConfigFilePath is SkyPilot's configuration, for a person to edit.
func (e Environment) ConfigFilePath() string { return filepath.Join(e.Dir, "config.yaml") }

// CreateDirs creates the directories that SkyPilot's programs use.
func (e Environment) CreateDirs() error {
	for _, dir := range []string{e.Dir, e.RuntimeDir(), e.PluginDir()} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	return nil
}

// CheckInstalled returns an error if SkyPilot or a program that it needs is missing.
func (e Environment) CheckInstalled() error {
	if _, err := os.Stat(e.Python); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = nil // it says nothing more than the message
		}
		return &cloud.Error{Kind: cloud.Access, Cause: err, Message: fmt.Sprintf(
			"SkyPilot is not installed for skyctl: run 'skyd install-skypilot', which puts SkyPilot %s into %s",
			client.Version, environmentDir(e.Dir))}
	}
	if _, err := exec.LookPath("rsync"); err != nil {
		return &cloud.Error{Kind: cloud.Access,
			Message: "SkyPilot needs rsync on this machine: install it (apt-get install rsync openssh-client)"}
	}
	return nil
}

// Variables are the environment variables of SkyPilot's programs. They keep those by which the clouds' credentials are
// found, and drop those of the person's own SkyPilot.
func (e Environment) Variables() []string {
	env := make([]string, 0, len(os.Environ())+16)
	for _, kv := range os.Environ() {
		if strings.HasPrefix(kv, "SKYPILOT_") || strings.HasPrefix(kv, "SKY_") || strings.HasPrefix(kv, "PYTHON") {
			continue
		}
		env = append(env, kv)
	}
	endpoint := cmp.Or(e.Endpoint, "http://127.0.0.1:"+strconv.Itoa(e.Port))
	env = append(bypassLocalProxy(env),
		"SKY_RUNTIME_DIR="+e.RuntimeDir(),
		"SKYPILOT_API_SERVER_LOCAL_PORT="+strconv.Itoa(e.Port),
		"SKYPILOT_API_SERVER_ENDPOINT="+endpoint, // overrides the one in a configuration
		"SKYPILOT_SERVER_PLUGINS_CONFIG="+e.PluginsFilePath(),
		"PYTHONPATH="+e.PluginDir(),
		"PYTHONUNBUFFERED=1",
	)
	// SkyPilot fails if this names a file that does not exist.
	if _, err := os.Stat(e.ConfigFilePath()); err == nil {
		env = append(env, "SKYPILOT_GLOBAL_CONFIG="+e.ConfigFilePath())
	}
	if !e.Usage {
		env = append(env, "SKYPILOT_DISABLE_USAGE_COLLECTION=1")
	}
	for _, kv := range e.Env {
		if more, ok := strings.CutPrefix(kv, "PYTHONPATH="); ok {
			kv = "PYTHONPATH=" + e.PluginDir() + string(os.PathListSeparator) + more
		}
		env = append(env, kv)
	}
	return env
}
