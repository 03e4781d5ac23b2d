// Package kubefile keeps the kubeconfig files of clusters on this machine. It is apart from package kube so that a
// program can write one without linking a Kubernetes client.
package kubefile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/sky-shift/skyctl/pkg/private"
)

// Write puts a kubeconfig in place, whole or not at all, readable by its owner only, in a directory that only the owner
// can enter.
func Write(path string, data []byte) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("writing the kubeconfig: %w", err)
	}
	if err := os.Chmod(dir, 0o700); err != nil { //nolint:gosec // a directory needs its x
		return fmt.Errorf("writing the kubeconfig: %w", err)
	}
	if err := private.Write(path, data); err != nil {
		return fmt.Errorf("writing the kubeconfig %s: %w", path, err)
	}
	return nil
}

// Remove removes a kubeconfig, what an interrupted Write left beside it, and its directory unless somebody keeps other
// files there. What isn't there is a success.
func Remove(path string) error {
	dir := filepath.Dir(path)
	left, err := filepath.Glob(filepath.Join(dir, ".kubeconfig-*"))
	if err != nil {
		return fmt.Errorf("removing the kubeconfig %s: %w", path, err)
	}
	for _, f := range append(left, path) {
		if err := os.Remove(f); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("removing the kubeconfig: %w", err)
		}
	}
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(entries) > 0 {
		return nil
	}
	if err == nil {
		err = os.Remove(dir)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing the kubeconfig's directory: %w", err)
	}
	return nil
}
