package render

import (
	"maps"
	"slices"
	"strings"

	"github.com/sky-shift/skyctl/pkg/api"
)

// CreateCommandLine is the command that creates a cluster with the same spec, or resumes its create.
func CreateCommandLine(c *api.Cluster) string {
	var words []string
	for _, v := range c.Spec.CreateRequest().CreateVariables() {
		words = append(words, v[0]+"="+quoteShellWord(v[1]))
	}
	words = append(words, "skyctl", "create", "cluster", c.Metadata.Name)
	for _, flag := range c.Spec.CreateRequest().CreateFlags() {
		if words = append(words, "--"+flag[0]); flag[1] != "" {
			words = append(words, quoteShellWord(flag[1]))
		}
	}
	var labels []string
	for _, k := range slices.Sorted(maps.Keys(c.Metadata.Labels)) {
		labels = append(labels, k+"="+c.Metadata.Labels[k])
	}
	if len(labels) > 0 {
		words = append(words, "--labels", quoteShellWord(strings.Join(labels, ",")))
	}
	if c.Status.KeepOnFailure {
		words = append(words, "--keep-on-failure")
	}
	return strings.Join(words, " ")
}

// quoteShellWord quotes a word that a shell would not read as one plain word.
func quoteShellWord(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' ||
			strings.ContainsRune("-_./:+@=,%", r)
	}
	if strings.TrimFunc(s, plain) == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
