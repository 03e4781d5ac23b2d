package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/printable"
)

// The forms in which data is shown.
const (
	asTable = "table"
	asWide  = "wide"
	asJSON  = "json"
	asYAML  = "yaml"
)

// choice is a flag that takes one of a few words.
type choice struct {
	value   string
	allowed []string
}

func (c *choice) String() string { return c.value }
func (c *choice) Type() string   { return strings.Join(c.allowed, "|") }

func (c *choice) Set(v string) error {
	if !slices.Contains(c.allowed, v) {
		return fmt.Errorf("must be one of %s", strings.Join(c.allowed, ", "))
	}
	c.value = v
	return nil
}

// outputFlag adds -o with the given forms, the first of which is the default.
func outputFlag(cmd *cobra.Command, forms ...string) *choice {
	c := &choice{value: forms[0], allowed: forms}
	cmd.Flags().VarP(c, "output", "o", "form of the output")
	must(cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(forms, cobra.ShellCompDirectiveNoFileComp)))
	return c
}

// forMachines is true where the output is read by a program: then nothing but errors goes to stderr.
func (c *choice) forMachines() bool { return c.value == asJSON || c.value == asYAML }

// clusterList is several clusters as they are printed for programs.
type clusterList struct {
	APIVersion string        `json:"api_version"`
	Kind       string        `json:"kind"`
	Items      []api.Cluster `json:"items"`
}

func listOf(clusters []api.Cluster) clusterList {
	if clusters == nil {
		clusters = []api.Cluster{}
	}
	return clusterList{APIVersion: api.APIVersion, Kind: "ClusterList", Items: clusters}
}

// encode writes an object as JSON or YAML, with the same field names.
func encode(w io.Writer, form string, object any) error {
	b, err := json.MarshalIndent(object, "", "  ")
	switch {
	case err == nil && form == asYAML:
		b, err = yaml.JSONToYAML([]byte(printable.Stream(string(b)))) // YAML has no place for some control characters
	case err == nil:
		b = append(b, '\n')
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", form, err)
	}
	_, err = w.Write(b)
	return err
}

// must is for mistakes in the code that the first run of any test shows.
func must(err error) {
	if err != nil {
		panic(err)
	}
}
