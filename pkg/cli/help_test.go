package cli

import (
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/sky-shift/skyctl/pkg/cloud/docker"
	"github.com/sky-shift/skyctl/pkg/cloud/skypilot"
)

// shown are the command lines in the examples of a command and of those below it.
func shown(cmd *cobra.Command) [][]string {
	var all [][]string
	for l := range strings.Lines(strings.ReplaceAll(cmd.Example, "\\\n", " ")) {
		if words := strings.Fields(l); len(words) > 0 && words[0] == "skyctl" {
			all = append(all, words[1:])
		}
	}
	for _, c := range cmd.Commands() {
		all = append(all, shown(c)...)
	}
	return all
}

func TestEveryCreateThatHelpShowsCanWorkToday(t *testing.T) {
	creates := 0
	for _, words := range shown((&app{}).root()) {
		if len(words) < 3 || words[0] != "create" {
			continue
		}
		creates++
		o := &creation{}
		o.bind(&cobra.Command{})
		if err := o.flags.Parse(words[3:]); err != nil {
			t.Errorf("%v: %v", words, err)
			continue
		}
		c, err := o.cluster(words[2], noon)
		onDocker := c.Spec.Cloud == "docker"
		if err != nil || c.Spec.Cloud != "" && !slices.Contains(clouds, c.Spec.Cloud) || onDocker && (c.Spec.Accelerators != "" ||
			c.Spec.UseSpot || c.Spec.Region != "" && !slices.Contains(regions[c.Spec.Cloud], c.Spec.Region)) {
			t.Errorf("%v: %v, %+v", words, err, c.Spec)
		}
	}
	if creates < 4 {
		t.Errorf("only %d examples were found", creates)
	}
}

func TestTheCloudsThatAreOfferedAreThoseThatSkydCanAsk(t *testing.T) {
	if want := append([]string{docker.Name}, skypilot.Names...); !slices.Equal(clouds, want) {
		t.Errorf("offered: %v\nwant:    %v", clouds, want)
	}
}

func TestValuesOfCreatesFlagsAreCompleted(t *testing.T) {
	p := nobody(t)
	for line, want := range map[string]string{
		"create cluster x --cloud ":                  strings.Join(clouds, "\n") + "\n:4\n",
		"create cluster x --manager ":                "k8\n:4\n",
		"create cluster x --region ":                 ":4\n", // which depends on the cloud
		"create cluster x --zone ":                   ":4\n",
		"create cluster x --cloud docker --region ":  "local\n:4\n",
		"create cluster x --cloud unheard --region ": ":4\n",
		"create cluster x -o ":                       "table\nwide\njson\nyaml\n:4\n",
		"server status -o ":                          "table\nwide\njson\nyaml\n:4\n",
		"create cluster x --cpus ":                   ":4\n", // and no files
	} {
		if got := p.run(append([]string{"__complete"}, strings.Split(line, " ")...)...); got.code != 0 || got.out != want {
			t.Errorf("%q: exit %d, %q, want %q", line, got.code, got.out, want)
		}
	}
	p.checkNothingWritten()
}

func TestEveryOutputFlagTakesEveryForm(t *testing.T) {
	found := 0
	var look func(*cobra.Command)
	look = func(c *cobra.Command) {
		if f := c.Flags().Lookup("output"); f != nil {
			found++
			for _, form := range []string{asWide, asJSON, asYAML, asTable} {
				if err := f.Value.Set(form); err != nil {
					t.Errorf("%s -o %s: %v", c.CommandPath(), form, err)
				}
			}
		}
		for _, sub := range c.Commands() {
			look(sub)
		}
	}
	look((&app{}).root())
	if found < 5 {
		t.Errorf("only %d commands with -o were found", found)
	}
	world.Work(t)
	p := outsider(t)
	for _, args := range [][]string{create("wide-plan", "--dry-run"), {"server", "status"}, {"version"}} {
		plain, wide := p.run(args...), p.run(append(args, "-o", "wide")...)
		if wide.code != 0 || wide.out == "" || wide.out != plain.out {
			t.Errorf("%v: exit %d, %q, %q; without: %q", args, wide.code, wide.out, wide.err, plain.out)
		}
	}
}
