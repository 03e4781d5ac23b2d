package kubeconfig

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sky-shift/skyctl/pkg/regularfile"
	"github.com/sky-shift/skyctl/pkg/yamltext"
)

// Person is where a person keeps what kubectl and SkyPilot read.
type Person struct {
	// Files are the kubeconfigs, in kubectl's order.
	Files []string
	// Ignored are files of $KUBECONFIG that skyctl itself writes for each cluster.
	Ignored []string
	// SkyPilot is the file with SkyPilot's settings; empty if SkyPilot is not used here, or its server is elsewhere.
	SkyPilot string
	// SkyPilotElsewhere: a variable says that SkyPilot's API server, which reads the kubeconfig, is elsewhere.
	SkyPilotElsewhere bool
}

// FindPerson finds the files of the person whose environment env is. ownDirs are the directories in which skyctl writes
// the kubeconfig of each cluster, one for each installation. hasSkyPilot: the person has SkyPilot's program, even if it
// has never run and has no directory yet.
func FindPerson(env func(string) string, hasSkyPilot bool, ownDirs ...string) (Person, error) {
	p := Person{SkyPilotElsewhere: env("SKYPILOT_API_SERVER_ENDPOINT") != ""}
	if !p.SkyPilotElsewhere {
		p.SkyPilot = findSkyPilotConfig(env, hasSkyPilot)
	}
	for _, name := range filepath.SplitList(env("KUBECONFIG")) {
		path, err := filepath.Abs(name)
		if name == "" || err != nil || slices.Contains(p.Files, path) {
			continue
		}
		if slices.ContainsFunc(ownDirs, func(dir string) bool { return isBelow(path, dir) }) {
			p.Ignored = append(p.Ignored, path)
			continue
		}
		p.Files = append(p.Files, path)
	}
	if len(p.Files) > 0 {
		return p, nil
	}
	home := env("HOME")
	if home == "" {
		return p, errors.New("the kubeconfig is unknown: set $KUBECONFIG or $HOME")
	}
	p.Files = []string{filepath.Join(home, ".kube", "config")}
	return p, nil
}

// isBelow reports whether a path is in a directory.
func isBelow(path, dir string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && filepath.IsLocal(rel)
}

// DefaultFile is the file that kubectl changes if an entry is in none: the first that exists, or else the last.
func (p Person) DefaultFile() string {
	for _, path := range p.Files {
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	return p.Files[len(p.Files)-1]
}

// findSkyPilotConfig follows SkyPilot's own rules (sky/skypilot_config.py): $SKYPILOT_GLOBAL_CONFIG or
// ~/.sky/config.yaml.
func findSkyPilotConfig(env func(string) string, hasProgram bool) string {
	home := env("HOME")
	if path := env("SKYPILOT_GLOBAL_CONFIG"); path != "" {
		if rest, ok := strings.CutPrefix(path, "~/"); ok && home != "" {
			path = filepath.Join(home, rest)
		}
		if abs, err := filepath.Abs(path); err == nil {
			return abs
		}
		return ""
	}
	dir := filepath.Join(home, ".sky")
	info, err := os.Stat(dir)
	isUsed := err == nil && info.IsDir()
	isNew := errors.Is(err, fs.ErrNotExist) && hasProgram
	if home == "" || !isUsed && !isNew {
		return ""
	}
	return filepath.Join(dir, "config.yaml")
}

// CurrentCluster returns the id of the cluster of skyctl whose context is the current one; empty if there is none. Its
// name would not say which cluster it is, because another installation can have one of the same name.
func (p Person) CurrentCluster() (uid string) {
	for _, path := range p.Files {
		text, err := regularfile.Read(path, maxFileSize)
		if err != nil {
			continue
		}
		d, err := yamltext.Parse(text)
		if err != nil {
			continue
		}
		current, _ := d.ValueAt(currentContext).(string)
		for _, item := range itemsOf(d, contexts) {
			if id, ok := findMark(item, "context")["uid"].(string); ok && itemName(item) == current {
				return id
			}
		}
	}
	return ""
}
