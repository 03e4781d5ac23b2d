package docker

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"strings"
)

// debianSuite is the Debian release that hosts are made of.
const debianSuite = "bookworm"

// hashLength is how much of the recipe's hash an image is named by.
const hashLength = 12

//go:embed recipe
var recipeFiles embed.FS

// imageRecipe is what a host image is made by. A change of any of it makes another image.
type imageRecipe struct {
	files    map[string][]byte
	packages []string
	hash     string
}

// loadRecipe reads the embedded recipe; the base image is part of its hash.
func loadRecipe(base string) (imageRecipe, error) {
	r := imageRecipe{files: map[string][]byte{}}
	sum := sha256.New()
	fmt.Fprintf(sum, "%s\n%s\n", debianSuite, base)
	err := fs.WalkDir(recipeFiles, "recipe", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := recipeFiles.ReadFile(path)
		r.files[d.Name()] = data
		fmt.Fprintf(sum, "%s %d\n%s", d.Name(), len(data), data)
		return err
	})
	if err != nil {
		return imageRecipe{}, fmt.Errorf("read the host image's recipe: %w", err)
	}
	r.packages = strings.Fields(string(r.files["packages.txt"]))
	r.hash = hex.EncodeToString(sum.Sum(nil))[:hashLength]
	return r, nil
}

// packFiles holds the recipe's files under /recipe, as setup.sh expects them.
func (r imageRecipe) packFiles() (*bytes.Buffer, error) {
	entries := []tarEntry{{name: "recipe/", mode: 0o755}}
	for name, data := range r.files {
		entries = append(entries, tarEntry{name: "recipe/" + name, mode: 0o644, data: data})
	}
	return packTarArchive(entries)
}

// tarEntry is a file, or a directory where the name ends in a slash.
type tarEntry struct {
	name     string
	mode     int64
	uid, gid int
	data     []byte
}

func packTarArchive(entries []tarEntry) (*bytes.Buffer, error) {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, e := range entries {
		h := &tar.Header{
			Typeflag: tar.TypeReg, Name: e.name, Mode: e.mode, Uid: e.uid, Gid: e.gid, Size: int64(len(e.data)),
		}
		if strings.HasSuffix(e.name, "/") {
			h.Typeflag = tar.TypeDir
		}
		if err := w.WriteHeader(h); err != nil {
			return nil, fmt.Errorf("pack %s: %w", e.name, err)
		}
		if _, err := w.Write(e.data); err != nil {
			return nil, fmt.Errorf("pack %s: %w", e.name, err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("pack files for a container: %w", err)
	}
	return &buf, nil
}
