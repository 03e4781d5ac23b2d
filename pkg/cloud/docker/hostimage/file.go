package hostimage

import (
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// checksummedFile is a compressed file that appears complete, with its checksum next to it, or not at all.
type checksummedFile struct {
	path string
	file *os.File
	sum  hash.Hash
	gzip *gzip.Writer
}

func createChecksummedFile(path string) (*checksummedFile, error) {
	f, err := os.CreateTemp(filepath.Dir(path), partialPattern)
	if err != nil {
		return nil, fmt.Errorf("write the host image's file: %w", err)
	}
	sum := sha256.New()
	// It is unpacked only once as well, so better compression would not save time.
	w, err := gzip.NewWriterLevel(io.MultiWriter(f, sum), gzip.BestSpeed)
	if err != nil {
		return nil, fmt.Errorf("write the host image's file: %w", err)
	}
	return &checksummedFile{path: path, file: f, sum: sum, gzip: w}, nil
}

func (c *checksummedFile) Write(p []byte) (int, error) { return c.gzip.Write(p) }

// commit moves the complete file to its path.
func (c *checksummedFile) commit() error {
	err := errors.Join(c.gzip.Close(), c.file.Sync(), c.file.Close())
	if err == nil {
		err = os.WriteFile(checksumPath(c.path), []byte(hex.EncodeToString(c.sum.Sum(nil))+"\n"), 0o600)
	}
	if err == nil {
		err = os.Rename(c.file.Name(), c.path)
	}
	if err != nil {
		return fmt.Errorf("write the host image's file: %w", err)
	}
	return nil
}

// abandon removes a file that was not committed.
func (c *checksummedFile) abandon() {
	c.file.Close()
	os.Remove(c.file.Name())
}

func checksumPath(path string) string { return path + ".sha256" }

// verifyChecksum compares a file with its checksum. The error is os.ErrNotExist if either is missing.
func verifyChecksum(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	want, err := os.ReadFile(checksumPath(path))
	if err != nil {
		return err
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != strings.TrimSpace(string(want)) {
		return fmt.Errorf("its checksum is %s, not %s", got, strings.TrimSpace(string(want)))
	}
	return nil
}
