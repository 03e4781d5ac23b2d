// Package tarfiles reads the archives that commands write.
package tarfiles

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"io"
	"testing"
)

// ReadCompressed returns the content of the files in a compressed tar archive by their names.
func ReadCompressed(t *testing.T, archive io.Reader) map[string]string {
	t.Helper()
	zip, err := gzip.NewReader(archive)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for r := tar.NewReader(zip); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		files[h.Name] = string(text)
	}
}
