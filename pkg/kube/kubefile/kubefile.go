// Package kubefile keeps the kubeconfig files of clusters on this machine. It is apart from package kube so that a
// program can write one without linking a Kubernetes client.
//
// A person may add clusters, users and contexts of their own to such a file. They stay: only the entries that bear the
// cluster's name are skyctl's.
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

// WriteEntries puts the entries of a kubeconfig into a file, whole or not at all, readable by its owner only, in a
// directory that only the owner can enter. What else is in the file stays, and so does its current context. A file that
// can't be understood or read is kept beside it (see Damaged) and written anew.
func WriteEntries(path string, data []byte) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("writing the kubeconfig: %w", err)
	}
	if err := os.Chmod(dir, 0o700); err != nil { //nolint:gosec // a directory needs its x
		return fmt.Errorf("writing the kubeconfig: %w", err)
	}
	real := resolveLink(path)
	merged, err := mergeWithFile(real, data)
	if isUnreadable(err) {
		real, merged, err = path, data, moveAside(path)
	}
	if err == nil {
		err = atomicfile.Write(real, merged)
	}
	if err != nil {
		return fmt.Errorf("writing the kubeconfig %s: %w", path, err)
	}
	return nil
}

// maxFileSize bounds a kubeconfig, in bytes: it may hold the entries of many clusters.
const maxFileSize = 8 << 20

// resolveLink is the file behind a link: a person may keep theirs elsewhere.
func resolveLink(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	return path
}

// mergeWithFile is what a file holds once it has the entries of a kubeconfig.
func mergeWithFile(path string, data []byte) ([]byte, error) {
	there, err := regularfile.Read(path, maxFileSize)
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
	file, err := parseKubeconfig(there)
	if err != nil {
		return data, keepDamagedCopy(path, there)
	}
	if !file.hasForeignEntries(ours) {
		return data, nil
	}
	file.mergeEntries(ours)
	return file.toYAML()
}

// DamagedInfix begins the names of the files beside a kubeconfig that hold what could not be understood or read of it.
const DamagedInfix = "damaged"

// keepDamagedCopy keeps what is in a file under a name of its own beside it. What is kept already is not kept twice.
func keepDamagedCopy(path string, there []byte) error {
	for i := 1; ; i++ {
		name := damagedFileName(path, i)
		err := atomicfile.Create(name, there)
		if err == nil || !errors.Is(err, fs.ErrExist) {
			return err
		}
		if kept, err := regularfile.Read(name, maxFileSize); err == nil && string(kept) == string(there) {
			return nil
		}
	}
}

// isUnreadable says that what bears a kubeconfig's name can't be read, and that trying again is of no use: it belongs
// to somebody else, is no file, or is far too large.
func isUnreadable(err error) bool {
	return errors.Is(err, fs.ErrPermission) || errors.Is(err, regularfile.ErrNotRegular) ||
		errors.Is(err, regularfile.ErrTooLarge)
}

// moveAside gives what can't be read a name beside the kubeconfig, so that it is in nobody's way.
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

// DescribeDifference says in words how a file is not what a kubeconfig has in it for its cluster: it is not there,
// can't be understood, or leads elsewhere. It is empty where the file serves as well. Of a server on the loopback the
// port is passed over: a tunnel may lead there through another one for a while.
func DescribeDifference(path string, want []byte) string {
	there, err := regularfile.Read(path, maxFileSize)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "the kubeconfig file is not there"
	case err != nil:
		return "the kubeconfig file can't be read: " + err.Error()
	}
	file, err := parseKubeconfig(there)
	if err != nil {
		return "the kubeconfig file can't be understood"
	}
	ours, err := parseKubeconfig(want)
	if err != nil {
		return "" // it is not the file that is wrong
	}
	return file.describeMissing(ours)
}

// RemoveEntries takes the entries of a cluster out of its kubeconfig file, and removes the file where nothing else is
// in it, with what an interrupted Write left beside it, and its directory unless somebody keeps other files there. What
// isn't there is a success.
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

// withoutCluster is what a file holds besides the entries of a cluster; nil where that is nothing. One that can't be
// understood or read is kept beside it.
func withoutCluster(path, cluster string) ([]byte, error) {
	there, err := regularfile.Read(path, maxFileSize)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case isUnreadable(err):
		return nil, moveAside(path)
	case err != nil:
		return nil, err
	}
	file, err := parseKubeconfig(there)
	if err != nil {
		return nil, keepDamagedCopy(path, there)
	}
	if file.removeEntries(cluster); file.isEmpty() {
		return nil, nil
	}
	return file.toYAML()
}
