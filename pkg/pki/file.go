package pki

import (
	"errors"
	"os"
	"path/filepath"
)

// write puts the key first: killed in between, key and certificate don't match, which Ensure sees and puts right.
func write(p Pair, certPEM, keyPEM []byte) error {
	return errors.Join(WriteFile(p.Key, keyPEM), WriteFile(p.Cert, certPEM))
}

// WriteFile puts a file in place whole or not at all, readable by its owner alone, and on the disk before it returns.
func WriteFile(name string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+"-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // gone already where all went well
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return err
	}
	d, err := os.Open(filepath.Dir(name))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
