package hostimage

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"strings"

	"github.com/sky-shift/skyctl/pkg/cloud/docker/engine"
)

// debianSuite is the Debian release of hosts.
const debianSuite = "bookworm"

// hashLength is how many digits of the recipe's hash are in an image's name.
const hashLength = 12

//go:embed recipe
var recipeFiles embed.FS

// imageRecipe is what a host image is built from. Any change of it results in another image.
type imageRecipe struct {
	files    map[string][]byte
	packages []string
	hash     string
}

// loadRecipe reads the embedded recipe. The base image is part of its hash.
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

// containerFiles are the recipe's files under /recipe, where setup.sh expects them.
func (r imageRecipe) containerFiles() []engine.File {
	files := []engine.File{{Name: "recipe/", Mode: 0o755}}
	for name, data := range r.files {
		files = append(files, engine.File{Name: "recipe/" + name, Mode: 0o644, Data: data})
	}
	return files
}
