package localserver

import (
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/sky-shift/skyctl/pkg/cloud/skypilot/venv"
)

//go:embed python/skyctl_lean.py
var leanPlugin []byte

const leanClass = "skyctl_lean.Plugin"

//go:embed python/skyctl_loopback.py
var loopbackPlugin []byte

const loopbackClass = "skyctl_loopback.Plugin"

// writeFiles writes what the server reads: its plugins, and a configuration for people to edit.
func (s *Server) writeFiles() error {
	if err := s.env.CreateDirs(); err != nil {
		return err
	}
	var list strings.Builder
	list.WriteString("plugins:\n")
	for _, class := range s.opts.Plugins {
		fmt.Fprintf(&list, "  - class: %s\n", class)
	}
	if !s.opts.FullRuntime { // after the others, so that it finds their provisioners
		fmt.Fprintf(&list, "  - class: %s\n", leanClass)
	}
	fmt.Fprintf(&list, "  - class: %s\n", loopbackClass)
	for name, text := range map[string][]byte{"skyctl_lean.py": leanPlugin, "skyctl_loopback.py": loopbackPlugin} {
		if err := venv.WriteFile(filepath.Join(s.env.PluginDir(), name), text); err != nil {
			return err
		}
	}
	if err := venv.WriteFile(s.env.PluginsFilePath(), []byte(list.String())); err != nil {
		return err
	}
	if _, err := os.Stat(s.env.ConfigFilePath()); err == nil {
		return nil
	}
	return venv.WriteFile(s.env.ConfigFilePath(),
		[]byte("# SkyPilot's configuration for skyctl's machines. Your own sky command reads ~/.sky/config.yaml.\n"+
			"{}\n"))
}
