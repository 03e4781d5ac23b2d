package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// module is a Go module that a program links, or Go itself.
type module struct {
	Path, Version string
	// Dir is where its files are, and packages are the directories of those of its packages that are linked.
	Dir      string
	packages []string
	licenses []license
}

// goName is the name of Go's own library among the modules.
const goName = "Go"

// listedPackage is the part of go list's description of a package that is used here.
type listedPackage struct {
	Dir      string
	Standard bool
	Module   *struct {
		Path, Version, Dir string
		Main               bool
		Replace            *struct{ Path, Version, Dir string }
	}
}

// listModules returns the modules that these packages link on any of the platforms, sorted, and Go.
func listModules(ctx context.Context, dir string, platforms, packages []string) ([]module, error) {
	found := map[string]*module{}
	for _, platform := range platforms {
		system, arch, ok := strings.Cut(platform, "/")
		if !ok {
			return nil, fmt.Errorf("-platforms has %q: use GOOS/GOARCH, such as linux/amd64", platform)
		}
		listed, err := listPackages(ctx, dir, system, arch, packages)
		if err != nil {
			return nil, fmt.Errorf("list what the programs link on %s: %w", platform, err)
		}
		for _, p := range listed {
			m := p.module()
			if m == nil {
				continue
			}
			if found[m.Path] == nil {
				found[m.Path] = m
			}
			found[m.Path].packages = append(found[m.Path].packages, p.Dir)
		}
	}
	root, version, err := findGo(ctx)
	if err != nil {
		return nil, err
	}
	all := []module{{Path: goName, Version: version, Dir: root}}
	for _, m := range found {
		slices.Sort(m.packages)
		m.packages = slices.Compact(m.packages)
		all = append(all, *m)
	}
	slices.SortFunc(all[1:], func(a, b module) int { return cmp.Compare(a.Path, b.Path) })
	return all, nil
}

// module returns the module of a package; nil for Go's own library and for this project.
func (p listedPackage) module() *module {
	if p.Standard || p.Module == nil || p.Module.Main {
		return nil
	}
	if r := p.Module.Replace; r != nil {
		return &module{Path: r.Path, Version: r.Version, Dir: r.Dir}
	}
	return &module{Path: p.Module.Path, Version: p.Module.Version, Dir: p.Module.Dir}
}

func listPackages(ctx context.Context, dir, system, arch string, packages []string) ([]listedPackage, error) {
	cmd := exec.CommandContext(ctx, "go", append([]string{"list", "-deps", "-json=Dir,Standard,Module", "--"},
		packages...)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOOS="+system, "GOARCH="+arch, "CGO_ENABLED=0")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, &stderr)
	}
	var all []listedPackage
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listedPackage
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, fmt.Errorf("read what go list prints: %w", err)
		}
		all = append(all, p)
	}
}

// findGo returns where Go is installed, and its version.
func findGo(ctx context.Context) (root, version string, err error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOROOT", "GOVERSION").Output()
	lines := strings.Fields(string(out))
	if err != nil || len(lines) != 2 {
		return "", "", fmt.Errorf("ask go where it is: %q, %w", out, err)
	}
	// Debian has the license beside the library, Go's own archives have it in its root.
	return filepath.Clean(lines[0]), lines[1], nil
}
