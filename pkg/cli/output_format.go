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

// outputFormat is a form in which data is shown.
type outputFormat string

const (
	asTable outputFormat = "table"
	asWide  outputFormat = "wide"
	asJSON  outputFormat = "json"
	asYAML  outputFormat = "yaml"
)

// isStructured is true of what a program reads.
func (f outputFormat) isStructured() bool { return f == asJSON || f == asYAML }

// enumValue is a flag that takes one of a few words.
type enumValue struct {
	value   string
	allowed []string
}

func (c *enumValue) String() string { return c.value }
func (c *enumValue) Type() string   { return strings.Join(c.allowed, "|") }

func (c *enumValue) Set(v string) error {
	if !slices.Contains(c.allowed, v) {
		return fmt.Errorf("must be one of %s", strings.Join(c.allowed, ", "))
	}
	c.value = v
	return nil
}

// addOutputFlag adds -o with the given forms, the first of which is the default.
func addOutputFlag(cmd *cobra.Command, formats ...outputFormat) *enumValue {
	var forms []string
	for _, f := range formats {
		forms = append(forms, string(f))
	}
	c := &enumValue{value: forms[0], allowed: forms}
	cmd.Flags().VarP(c, "output", "o", "form of the output")
	panicOnError(cmd.RegisterFlagCompletionFunc("output",
		cobra.FixedCompletions(forms, cobra.ShellCompDirectiveNoFileComp)))
	return c
}

// isStructured is true where the output is read by a program: then nothing but errors goes to stderr.
func (c *enumValue) isStructured() bool { return c.form().isStructured() }

// form is the value of a flag of addOutputFlag.
func (c *enumValue) form() outputFormat { return outputFormat(c.value) }

// clusterList is several clusters as they are printed for programs.
type clusterList struct {
	APIVersion string        `json:"api_version"`
	Kind       string        `json:"kind"`
	Items      []api.Cluster `json:"items"`
}

func newClusterList(clusters []api.Cluster) clusterList {
	if clusters == nil {
		clusters = []api.Cluster{}
	}
	return clusterList{APIVersion: api.APIVersion, Kind: "ClusterList", Items: clusters}
}

// writeStructured writes an object as JSON or YAML, with the same field names.
func writeStructured(w io.Writer, form outputFormat, object any) error {
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

// writeStructuredItem writes one more object of a stream; in YAML each is a document.
func writeStructuredItem(w io.Writer, form outputFormat, object any) error {
	if form == asYAML {
		if _, err := io.WriteString(w, "---\n"); err != nil {
			return err
		}
	}
	return writeStructured(w, form, object)
}

// panicOnError is for mistakes in the code that the first run of any test shows.
func panicOnError(err error) {
	if err != nil {
		panic(err)
	}
}
