// Package kubefile writes the kubeconfig files of clusters on this computer. It is separate from package kube so that a
// program can write one without linking a Kubernetes client.
//
// Users can add their own clusters, users and contexts to such a file. skyctl owns only the entries with the name of
// the cluster, and keeps all others.
package kubefile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/sky-shift/skyctl/pkg/atomicfile"
	"github.com/sky-shift/skyctl/pkg/regularfile"
)

// WriteEntries writes the entries of a kubeconfig into a file atomically, readable by its owner only, in a directory
// that only the owner can enter. Other entries and the current context of the file stay. A file that cannot be parsed
// or read is kept under another name (see DamagedInfix) and replaced.
func WriteEntries(path string, data []byte) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("writing the kubeconfig: %w", err)
	}
	if err := os.Chmod(dir, 0o700); err != nil { //nolint:gosec // a directory must be executable
		return fmt.Errorf("writing the kubeconfig: %w", err)
	}
	target := resolveLink(path)
	merged, err := mergeWithFile(target, data)
	if isUnreadable(err) {
		target, merged, err = path, data, moveAside(path)
	}
	if err == nil {
		err = atomicfile.Write(target, merged)
	}
	if err != nil {
		return fmt.Errorf("writing the kubeconfig %s: %w", path, err)
	}
	return nil
}

// maxFileSize is the largest size of a kubeconfig, in bytes. It may hold the entries of many clusters.
const maxFileSize = 8 << 20

// resolveLink returns the target of a link: users may keep their kubeconfig elsewhere.
func resolveLink(path string) string {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		return target
	}
	return path
}

// mergeWithFile returns the content of a file after the entries of a kubeconfig are merged into it.
func mergeWithFile(path string, data []byte) ([]byte, error) {
	content, err := regularfile.Read(path, maxFileSize)
	if errors.Is(err, fs.ErrNotExist) {
		return data, nil
	}
	if err != nil {
		return nil, err
	}
	ours, err := parseKubeconfig(data)
	if err != nil {
		return nil, err
	}
	file, err := parseKubeconfig(content)
	if err != nil {
		return data, keepDamagedCopy(path, content)
	}
	if !file.hasForeignEntries(ours) {
		return data, nil
	}
	file.mergeEntries(ours)
	return file.toYAML()
}

// DamagedInfix is in the names of the files next to a kubeconfig that keep what could not be parsed or read.
const DamagedInfix = "damaged"

// keepDamagedCopy copies the content of a file to a new name next to it, unless such a copy exists.
func keepDamagedCopy(path string, content []byte) error {
	for i := 1; ; i++ {
		name := damagedFileName(path, i)
		err := atomicfile.Create(name, content)
		if err == nil || !errors.Is(err, fs.ErrExist) {
			return err
		}
		if kept, err := regularfile.Read(name, maxFileSize); err == nil && string(kept) == string(content) {
			return nil
		}
	}
}

// isUnreadable reports that a kubeconfig cannot be read and that a retry would not help: it belongs to another user, is
// not a regular file, or is too large.
func isUnreadable(err error) bool {
	return errors.Is(err, fs.ErrPermission) || errors.Is(err, regularfile.ErrNotRegular) ||
		errors.Is(err, regularfile.ErrTooLarge)
}

// moveAside renames an unreadable file so that a new one can be written.
func moveAside(path string) error {
	for i := 1; ; i++ {
		name := damagedFileName(path, i)
		if _, err := os.Lstat(name); errors.Is(err, fs.ErrNotExist) {
			return os.Rename(path, name)
		}
	}
}

func damagedFileName(path string, i int) string {
	return fmt.Sprintf("%s.%s-%d", path, DamagedInfix, i)
}

// DescribeDifference describes how a file differs from a kubeconfig for the entries of that kubeconfig: it is missing,
// not valid, or has other values. It returns an empty string if the file is as good. Ports of loopback servers are not
// compared, because a tunnel can use another port for a while.
func DescribeDifference(path string, want []byte) string {
	content, err := regularfile.Read(path, maxFileSize)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "the kubeconfig file is missing"
	case err != nil:
		return "the kubeconfig file cannot be read: " + err.Error()
	}
	file, err := parseKubeconfig(content)
	if err != nil {
		return "the kubeconfig file is not valid"
	}
	ours, err := parseKubeconfig(want)
	if err != nil {
		return "" // the stored kubeconfig is at fault, not the file
	}
	return file.describeMissing(ours)
}

// RemoveEntries removes the entries of a cluster from its kubeconfig file. It removes a file without other entries,
// temporary files of interrupted writes, and the directory if it is then empty. It is not an error if they do not
// exist.
func RemoveEntries(path, cluster string) error {
	dir := filepath.Dir(path)
	left, err := filepath.Glob(filepath.Join(dir, ".kubeconfig-*"))
	if err != nil {
		return fmt.Errorf("removing the kubeconfig %s: %w", path, err)
	}
	rest, err := withoutCluster(path, cluster)
	switch {
	case err != nil:
		return fmt.Errorf("removing cluster %s from the kubeconfig %s: %w", cluster, path, err)
	case rest != nil:
		if err := atomicfile.Write(resolveLink(path), rest); err != nil {
			return fmt.Errorf("removing cluster %s from the kubeconfig %s: %w", cluster, path, err)
		}
	default:
		left = append(left, path)
	}
	for _, f := range left {
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

// withoutCluster returns the content of a file without the entries of a cluster, or nil if nothing else is in it. A
// file that cannot be parsed or read is kept under another name.
func withoutCluster(path, cluster string) ([]byte, error) {
	content, err := regularfile.Read(path, maxFileSize)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case isUnreadable(err):
		return nil, moveAside(path)
	case err != nil:
		return nil, err
	}
	file, err := parseKubeconfig(content)
	if err != nil {
		return nil, keepDamagedCopy(path, content)
	}
	if file.removeEntries(cluster); file.isEmpty() {
		return nil, nil
	}
	return file.toYAML()
}
