package examples

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/cli"
)

var (
	// listedName matches a row of a list of commands, and flagRow one of a list of flags.
	listedName = regexp.MustCompile(`^  ([a-z-]+)  +\S`)
	flagRow    = regexp.MustCompile(`^(?:  (-\w), |      )(--[\w-]+)`)
	// helpPage matches the name of a page of help, and section one of the list of commands, in docs/tasks.md.
	helpPage = regexp.MustCompile("`skyctl ([a-z ]+) --help`")
	section  = regexp.MustCompile(`\*\*([^*]+)\*\*`)
)

// readHelp returns the lines of a page of help.
func readHelp(t *testing.T, words ...string) []string {
	t.Helper()
	var out bytes.Buffer
	code := cli.Run(t.Context(), cli.Environment{In: &bytes.Buffer{}, Out: &out, Err: &out, Now: time.Now,
		Getenv: func(string) string { return "" }}, append(words, "--help"))
	if code != 0 {
		t.Fatalf("skyctl %s --help: exit %d: %s", strings.Join(words, " "), code, out.String())
	}
	return strings.Split(out.String(), "\n")
}

// listedCommands returns the commands that a page of help lists, each with the heading of its list.
func listedCommands(page []string) map[string]string {
	listed, heading := map[string]string{}, ""
	for _, line := range page {
		if title, isHeading := strings.CutSuffix(line, ":"); isHeading && !strings.HasPrefix(line, " ") {
			heading = title
		}
		if name := listedName.FindStringSubmatch(line); name != nil && heading != "" {
			listed[name[1]] = heading
		}
	}
	return listed
}

// listedFlags returns the flags that a page of help lists.
func listedFlags(page []string) map[string]bool {
	listed := map[string]bool{}
	for _, line := range page {
		if row := flagRow.FindStringSubmatch(line); row != nil {
			listed[row[1]], listed[row[2]] = true, true
		}
	}
	return listed
}

// way is how a person comes from skyctl --help to a command.
type way struct{ section, page string }

// findWay goes from page to page of help as a person does, and returns an error where a page does not list the next
// word or a flag.
func findWay(t *testing.T, args []string) (way, error) {
	t.Helper()
	page, w, words := readHelp(t), way{}, []string{}
	for len(args) > 0 {
		heading, isListed := listedCommands(page)[args[0]]
		if !isListed {
			break
		}
		if len(words) == 0 {
			w.section = heading
		}
		words, args = append(words, args[0]), args[1:]
		page = readHelp(t, words...)
	}
	w.page = strings.Join(words, " ")
	if len(words) == 0 || len(listedCommands(page)) > 0 {
		return w, fmt.Errorf("%s --help lists no %v", strings.TrimSpace("skyctl "+w.page), args)
	}
	flags := listedFlags(page)
	for _, arg := range args {
		name, _, _ := strings.Cut(arg, "=")
		if arg == "--" {
			break
		}
		if strings.HasPrefix(arg, "-") && !flags[name] {
			return w, fmt.Errorf("skyctl %s --help does not list %s", w.page, name)
		}
	}
	return w, nil
}

func TestTasksAreFoundFromHelpAlone(t *testing.T) {
	document, err := os.ReadFile("../docs/tasks.md")
	if err != nil {
		t.Fatal(err)
	}
	tasks := strings.Split(string(document), "\n## ")[1:]
	for _, task := range tasks {
		title, _, _ := strings.Cut(task, "\n")
		sections, pages := map[string]bool{}, map[string]bool{}
		commands := readCommands(readCode(task))
		for _, args := range commands {
			w, err := findWay(t, args)
			if err != nil {
				t.Errorf("%s: %v", title, err)
			}
			sections[w.section], pages[w.page] = true, true
		}
		_, help, _ := strings.Cut(task, "\nHelp: ")
		if got, want := allMatches(section, help), slices.Sorted(maps.Keys(sections)); !slices.Equal(got, want) {
			t.Errorf("%s: names the sections %q, needs %q", title, got, want)
		}
		if got, want := allMatches(helpPage, help), slices.Sorted(maps.Keys(pages)); !slices.Equal(got, want) {
			t.Errorf("%s: names the pages %q, needs %q", title, got, want)
		}
		if len(commands) == 0 {
			t.Errorf("%s: has no command", title)
		}
	}
	if len(tasks) < 20 {
		t.Errorf("%d tasks, want 20", len(tasks))
	}
}

// allMatches returns the first groups of all matches, sorted.
func allMatches(pattern *regexp.Regexp, text string) []string {
	var all []string
	for _, match := range pattern.FindAllStringSubmatch(text, -1) {
		all = append(all, match[1])
	}
	slices.Sort(all)
	return all
}

func TestCommandsThatHelpDoesNotListAreNotFound(t *testing.T) {
	for line, want := range map[string]string{
		"get cluster dev":                 "skyctl get --help lists no [cluster dev]", // an alias
		"crate cluster dev":               "skyctl --help lists no [crate cluster dev]",
		"create":                          "skyctl create --help lists no []",
		"scale cluster dev --template x":  "skyctl scale cluster --help does not list --template", // hidden
		"exec dev --everywhere -- ls --a": "skyctl exec --help does not list --everywhere",
		"exec dev --all -- ls --a":        "",
		"get clusters dev -w":             "",
	} {
		_, err := findWay(t, strings.Fields(line))
		if err == nil && want != "" || err != nil && err.Error() != want {
			t.Errorf("%s: %v, want %q", line, err, want)
		}
	}
}
