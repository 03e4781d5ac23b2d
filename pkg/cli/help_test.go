package cli

import (
	"bytes"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cli/printer"
	"github.com/sky-shift/skyctl/pkg/cli/render"
	"github.com/sky-shift/skyctl/pkg/cloud/docker"
	"github.com/sky-shift/skyctl/pkg/cloud/skypilot"
	"github.com/sky-shift/skyctl/test/fixture"
	"github.com/sky-shift/skyctl/test/golden"
)

// exampleCommands returns the command lines in the examples of a command and its subcommands.
func exampleCommands(cmd *cobra.Command) [][]string {
	var all [][]string
	for l := range strings.Lines(strings.ReplaceAll(cmd.Example, "\\\n", " ")) {
		if words := strings.Fields(l); len(words) > 0 && words[0] == "skyctl" {
			all = append(all, words[1:])
		}
	}
	for _, c := range cmd.Commands() {
		all = append(all, exampleCommands(c)...)
	}
	return all
}

func TestCreateExamplesInHelpAreValid(t *testing.T) {
	region, _ := api.FindField("region")
	creates := 0
	for _, words := range exampleCommands((&app{}).newRootCommand()) {
		if len(words) < 3 || words[0] != "create" || words[1] != "cluster" {
			continue
		}
		creates++
		o := &createOptions{}
		o.bindFlags(&cobra.Command{})
		if err := o.flags.Parse(words[3:]); err != nil {
			t.Errorf("%v: %v", words, err)
			continue
		}
		c, err := o.buildCluster(words[2], fixture.Noon)
		onDocker := c.Spec.Cloud == "docker"
		if err != nil || c.Spec.Cloud != "" && !slices.Contains(api.Clouds, c.Spec.Cloud) || onDocker &&
			(o.request.Accelerators != "" ||
				o.request.UseSpot || c.Spec.Region != "" &&
				!slices.Contains(region.ValuesOn(c.Spec.Cloud), c.Spec.Region)) {
			t.Errorf("%v: %v, %+v", words, err, c.Spec)
		}
	}
	if creates < 4 {
		t.Errorf("only %d examples were found", creates)
	}
}

func TestCreatePoolExamplesInHelpAreValid(t *testing.T) {
	found := 0
	for _, words := range exampleCommands((&app{}).newRootCommand()) {
		if len(words) < 3 || words[0] != "create" || words[1] != "pool" {
			continue
		}
		found++
		a := &app{}
		a.env.Now = func() time.Time { return fixture.Noon }
		cmd := a.newCreatePoolCommand()
		cmd.SetGlobalNormalizationFunc(normalizeFlagName)
		if err := cmd.ParseFlags(words[3:]); err != nil {
			t.Errorf("%v: %v", words, err)
			continue
		}
		p, err := api.ParsePool(words[2], readFlagValues(cmd.Flags()))
		c := fixture.NewReadyCluster()
		if err := errors.Join(err, c.CreatePool(p, fixture.Noon)); err != nil {
			t.Errorf("%v: %v", words, err)
		}
	}
	if found < 3 {
		t.Errorf("only %d examples were found", found)
	}
}

func TestCompletedCloudsAreThoseOfSkyd(t *testing.T) {
	if want := append([]string{docker.Name}, skypilot.CloudNames...); !slices.Equal(api.Clouds, want) {
		t.Errorf("got:  %v\nwant: %v", api.Clouds, want)
	}
}

func TestCreateFlagValuesAreCompleted(t *testing.T) {
	p := newUserWithoutState(t)
	formats := strings.Join(printer.ListFormats(), "\n") + "\n:6\n" // no blank behind an equals sign
	for line, want := range map[string]string{
		"create cluster x --cloud ":                  strings.Join(api.Clouds, "\n") + "\n:4\n",
		"create cluster x --manager ":                "k8\n:4\n",
		"create cluster x --region ":                 ":4\n", // depends on the cloud
		"create cluster x --zone ":                   ":4\n",
		"create cluster x --cloud docker --region ":  "local\n:4\n",
		"create cluster x --cloud unheard --region ": ":4\n",
		"create cluster x -o ":                       formats,
		"server status -o ":                          formats,
		"create cluster x --cpus ":                   ":4\n", // no file names
	} {
		if got := p.run(append([]string{"__completeNoDesc"}, strings.Split(line, " ")...)...); got.code != 0 ||
			got.out != want {
			t.Errorf("%q: exit %d, %q, want %q", line, got.code, got.out, want)
		}
	}
	p.checkNothingWritten()
}

func TestEveryOutputFlagAcceptsEveryFormat(t *testing.T) {
	found := 0
	var look func(*cobra.Command)
	look = func(c *cobra.Command) {
		if f := c.Flags().Lookup("output"); f != nil {
			found++
			for _, form := range []render.Format{render.AsWide, render.AsJSON, render.AsYAML, render.AsTable} {
				if err := f.Value.Set(string(form)); err != nil {
					t.Errorf("%s -o %s: %v", c.CommandPath(), form, err)
				}
			}
		}
		for _, sub := range c.Commands() {
			look(sub)
		}
	}
	look((&app{}).newRootCommand())
	if found < 5 {
		t.Errorf("only %d commands with -o were found", found)
	}
	world.StartWorker(t)
	p := newExternalUser(t)
	for _, args := range [][]string{createArgs("wide-plan", "--dry-run"), {"server", "status"}, {"version"}} {
		plain, wide := p.run(args...), p.run(append(args, "-o", "wide")...)
		if wide.code != 0 || wide.out == "" || wide.out != plain.out {
			t.Errorf("%v: exit %d, %q, %q; without: %q", args, wide.code, wide.out, wide.err, plain.out)
		}
	}
}

// listHelpPages returns the words behind skyctl help of every page. The pages of the shells below completion are left
// out: they are cobra's.
func listHelpPages() []string {
	pages := []string{""}
	var list func(*cobra.Command)
	list = func(cmd *cobra.Command) {
		for _, c := range cmd.Commands() {
			if c.Hidden || cmd.Name() == "completion" {
				continue
			}
			pages = append(pages, strings.TrimPrefix(c.CommandPath(), "skyctl "))
			list(c)
		}
	}
	list((&app{}).newRootCommand())
	return pages
}

// renderHelpPage returns a page as it is on a terminal of that width.
func renderHelpPage(t *testing.T, page string, width int) string {
	t.Helper()
	var out bytes.Buffer
	a := &app{env: Environment{Out: &out, Err: &out, Getenv: func(string) string { return "" },
		Now: func() time.Time { return fixture.Noon }}, helpWidth: width}
	root := a.newRootCommand()
	if code := a.runLine(t.Context(), root, append([]string{"help"}, strings.Fields(page)...)); code != 0 {
		t.Errorf("help %s: exit %d: %s", page, code, out.String())
	}
	return out.String()
}

func TestHelpMatchesItsGoldenFile(t *testing.T) {
	want := map[string]bool{}
	check := func(dir, page string, width int) {
		name := filepath.Join(dir, strings.ReplaceAll("skyctl "+page, " ", "-")+".txt")
		want[filepath.Join("testdata", name)] = true
		golden.Compare(t, name, renderHelpPage(t, page, width))
	}
	for _, page := range listHelpPages() {
		check("help", page, helpWidth)
	}
	for _, page := range []string{"", "create cluster", "apply", "exit-codes", "settings"} {
		check("help-narrow", page, minHelpWidth)
	}
	for _, pattern := range []string{"help/*", "help-narrow/*"} {
		files, err := filepath.Glob("testdata/" + pattern)
		for _, file := range files {
			if !want[file] {
				t.Errorf("%s is the help of no command", file)
			}
		}
		if err != nil || len(files) == 0 {
			t.Errorf("%s: %d files, %v", pattern, len(files), err)
		}
	}
}

func TestHelpFitsTheWidth(t *testing.T) {
	for _, width := range []int{minHelpWidth, helpWidth, maxHelpWidth} {
		for _, page := range listHelpPages() {
			for line := range strings.Lines(renderHelpPage(t, page, width)) {
				line = strings.TrimRight(line, "\n")
				words := slices.DeleteFunc(render.SplitCommand(strings.TrimSuffix(line, ` \`)), func(w string) bool {
					return strings.HasPrefix(w, "-") // a flag keeps its value
				})
				if render.CellWidth(line) > width && len(words) > 1 {
					t.Errorf("help %s at %d: %d wide: %s", page, width, render.CellWidth(line), line)
				}
				if strings.HasSuffix(line, " ") {
					t.Errorf("help %s at %d: blanks at the end: %q", page, width, line)
				}
			}
		}
	}
}

func TestEveryCommandAndFlagHasASection(t *testing.T) {
	root := (&app{}).newRootCommand()
	for _, c := range root.Commands() {
		if (c.IsAvailableCommand() || c.Name() == "help") && !root.ContainsGroup(c.GroupID) {
			t.Errorf("%s is in no section", c.Name())
		}
	}
	sectioned := 0
	for _, page := range listHelpPages() {
		cmd, _, _ := root.Find(strings.Fields(page))
		cmd.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) {
			for _, s := range f.Annotations[sectionAnnotation] {
				if sectioned++; !slices.Contains(flagSections, flagSection(s)) {
					t.Errorf("%s --%s: the section %q is not listed", page, f.Name, s)
				}
			}
			_, isField := api.FindField(f.Name)
			if len(f.Annotations[sectionAnnotation]) == 0 && (isField || api.IsPoolField(f.Name)) &&
				(page == "create cluster" || page == "create pool") {
				t.Errorf("%s --%s is in no section", page, f.Name)
			}
		})
	}
	if sectioned < 50 {
		t.Errorf("only %d flags have a section", sectioned)
	}
}

func TestEveryCommandHasDescriptionsAndAnExample(t *testing.T) {
	a := &app{env: Environment{}}
	root := a.newRootCommand()
	for _, c := range append(root.Commands(), root) {
		for _, c := range append(c.Commands(), c) {
			if c.Name() == "help" || c.Parent() != nil &&
				(c.Name() == "completion" || c.Parent().Name() == "completion") || c.IsAdditionalHelpTopicCommand() {
				continue
			}
			if c.Short == "" || c.Long == "" || c.Example == "" {
				t.Errorf("%s lacks a Short, Long or Example", c.CommandPath())
			}
		}
	}
}
