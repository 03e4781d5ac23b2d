package venv

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
)

// WriteFile writes a complete file that only this user can read. It does not touch a file that has the content already.
func WriteFile(path string, data []byte) error {
	if has, err := os.ReadFile(path); err == nil && bytes.Equal(has, data) {
		return nil
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
