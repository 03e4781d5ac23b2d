package venv

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
)

// WriteFile puts a file there whole, readable for this person alone; one that is as it should be stays
// untouched.
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
