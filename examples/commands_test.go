package examples

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/sky-shift/skyctl/pkg/cli"
	"github.com/sky-shift/skyctl/pkg/config"
)

var (
	// afterCommand matches what follows the arguments of a command: a comment, a pipe, a redirection, another command.
	afterCommand = regexp.MustCompile(`\s+(#|\||>|&&|;|2>).*`)
	// alternatives matches a choice, such as start|stop, of which the first is checked.
	alternatives = regexp.MustCompile(`(\w)\|\S+`)
	quotes       = strings.NewReplacer("'", "", `"`, "", "[", "", "]", "")
)

// readCode returns the text of the blocks of code of a document that name no language, also of those in lists.
func readCode(document string) string {
	var code strings.Builder
	fence := "" // of the block that the line is in
	for line := range strings.Lines(document) {
		switch text := strings.TrimSpace(line); {
		case !strings.HasPrefix(text, "```") && fence == "```":
			code.WriteString(line)
		case strings.HasPrefix(text, "```") && fence == "":
			fence = text
		case text == "```":
			fence = ""
		}
	}
	return code.String()
}

// readCommands returns the arguments of each skyctl command in a text of commands.
func readCommands(text string) [][]string {
	var all [][]string
	for line := range strings.Lines(strings.ReplaceAll(text, "\\\n", " ")) {
		line = strings.TrimPrefix(strings.TrimSpace(line), "$ ")
		line = strings.TrimPrefix(strings.TrimPrefix(line, "sudo "), "bin/")
		rest, isCommand := strings.CutPrefix(line, "skyctl ")
		if !isCommand {
			continue
		}
		rest = afterCommand.ReplaceAllString(rest, "")
		rest = alternatives.ReplaceAllString(rest, "$1")
		args := strings.Fields(quotes.Replace(rest))
		all = append(all, slices.DeleteFunc(args, func(a string) bool { return a == "…" || a == "..." }))
	}
	return all
}

// checkCommand asks skyctl for the help of a command with these arguments: it reads all flags before it prints that.
func checkCommand(t *testing.T, args []string) error {
	t.Helper()
	var out, errors bytes.Buffer
	state := filepath.Join(t.TempDir(), "state")
	code := cli.Run(t.Context(), cli.Environment{In: &bytes.Buffer{}, Out: &out, Err: &errors, Now: time.Now,
		Getenv: func(name string) string { return map[string]string{config.EnvDir: state}[name] }},
		insertHelp(args))
	if code != 0 {
		return fmt.Errorf("exit code %d: %s", code, errors.String())
	}
	_, usage, _ := strings.Cut(out.String(), "Usage:\n  ")
	usage, _, _ = strings.Cut(usage, "\n")
	if isGroup := strings.HasSuffix(usage, "[command]"); isGroup && len(args) > 0 {
		return fmt.Errorf("no such command below %q", usage)
	}
	return nil
}

// insertHelp adds --help, before what is passed on to another program.
func insertHelp(args []string) []string {
	at := slices.Index(args, "--")
	if at < 0 {
		at = len(args)
	}
	return slices.Insert(slices.Clone(args), at, "--help")
}

func TestCommandsOfDocumentsExist(t *testing.T) {
	checked := 0
	for _, pattern := range []string{"*.md", "*/*.md", "../README.md", "../docs/*.md"} {
		names, err := filepath.Glob(pattern)
		if err != nil || len(names) == 0 {
			t.Fatalf("%s: %v, %v", pattern, names, err)
		}
		for _, name := range names {
			if name == "../docs/benchmarks.md" {
				continue // its blocks are tables
			}
			content, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			for _, args := range readCommands(readCode(string(content))) {
				if err := checkCommand(t, args); err != nil {
					t.Errorf("%s: skyctl %s: %v", name, strings.Join(args, " "), err)
				}
				checked++
			}
		}
	}
	if checked < 150 {
		t.Errorf("checked %d commands: the documents have more", checked)
	}
}

func TestCommandsOfTheWorkflowExist(t *testing.T) {
	content, err := os.ReadFile("gitops/workflows/clusters.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var workflow struct {
		Jobs map[string]struct {
			Steps []struct{ Run string }
		}
	}
	if err := yaml.Unmarshal(content, &workflow); err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, step := range workflow.Jobs["clusters"].Steps {
		for _, args := range readCommands(strings.ReplaceAll(step.Run, "||", " ;")) {
			if err := checkCommand(t, args); err != nil {
				t.Errorf("skyctl %s: %v", strings.Join(args, " "), err)
			}
			checked++
		}
	}
	if checked != 2 {
		t.Errorf("checked %d commands, want diff and apply", checked)
	}
}

func TestWrongCommandsAreFound(t *testing.T) {
	got := readCommands("$ skyctl get clusters -w -o wide|json # all\n  sudo skyctl server start|stop\n" +
		"kubectl get nodes\nskyctl create cluster NAME [--cpus 2+] … \\\n  --wait && x\n")
	want := "[[get clusters -w -o wide] [server start] [create cluster NAME --cpus 2+ --wait]]"
	if fmt.Sprint(got) != want {
		t.Errorf("got %v, want %s", got, want)
	}
	for _, args := range []string{"get cluster dev --wiat", "creat cluster dev", "get clutsers"} {
		if checkCommand(t, strings.Fields(args)) == nil {
			t.Errorf("skyctl %s is taken for a command", args)
		}
	}
}
