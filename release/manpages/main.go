// Command manpages writes what belongs to an installation beside the programs: man pages and shell completions of
// skyctl. Both come from its commands.
package main

import (
	"bytes"
	"compress/gzip"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"github.com/sky-shift/skyctl/pkg/cli"
)

func main() {
	out := flag.String("out", "", "directory that gets man/ and completions/")
	flag.Parse()
	if err := writeAll(*out); err != nil {
		fmt.Fprintln(os.Stderr, "manpages:", err)
		os.Exit(1)
	}
}

func writeAll(out string) error {
	if out == "" {
		return errors.New("name the directory with -out")
	}
	date, err := readSourceDate(os.Getenv("SOURCE_DATE_EPOCH"))
	if err != nil {
		return err
	}
	man, completions := filepath.Join(out, "man"), filepath.Join(out, "completions")
	for _, dir := range []string{man, completions} {
		if err := os.RemoveAll(dir); err != nil { // pages of commands that are gone
			return err
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	root := cli.NewCommandTree()
	if err := writeCompletions(root, completions); err != nil {
		return fmt.Errorf("writing the completions: %w", err)
	}
	if err := writeManPages(root, man, date); err != nil {
		return fmt.Errorf("writing the man pages: %w", err)
	}
	return nil
}

// readSourceDate returns the date of the sources, which is the same in each build of them; see
// https://reproducible-builds.org/specs/source-date-epoch/.
func readSourceDate(seconds string) (time.Time, error) {
	if seconds == "" {
		return time.Unix(0, 0).UTC(), nil
	}
	n, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("$SOURCE_DATE_EPOCH is %q, not a number of seconds", seconds)
	}
	return time.Unix(n, 0).UTC(), nil
}

func writeCompletions(root *cobra.Command, dir string) error {
	var bash bytes.Buffer
	if err := cli.WriteBashCompletion(root, &bash, true); err != nil {
		return err
	}
	return errors.Join(os.WriteFile(filepath.Join(dir, "skyctl.bash"), bash.Bytes(), 0o644),
		root.GenZshCompletionFile(filepath.Join(dir, "skyctl.zsh")),
		root.GenFishCompletionFile(filepath.Join(dir, "skyctl.fish"), true))
}

// writeManPages writes the compressed page of a command and those of its subcommands.
func writeManPages(cmd *cobra.Command, dir string, date time.Time) error {
	for _, sub := range cmd.Commands() {
		if !sub.IsAvailableCommand() && !sub.IsAdditionalHelpTopicCommand() {
			continue
		}
		if err := writeManPages(sub, dir, date); err != nil {
			return err
		}
	}
	cmd.DisableAutoGenTag = true
	cmd.Long = keepLines(cmd.Long)
	var page bytes.Buffer
	if err := doc.GenMan(cmd, &doc.GenManHeader{Section: "1", Source: "skyctl", Manual: "skyctl", Date: &date},
		&page); err != nil {
		return err
	}
	name := filepath.Join(dir, strings.ReplaceAll(cmd.CommandPath(), " ", "-")+".1.gz")
	return writeCompressed(name, page.Bytes())
}

// keepLines turns the paragraphs of a help text that are lists or tables into code, which man shows as it is written.
func keepLines(text string) string {
	paragraphs := strings.Split(text, "\n\n")
	for i, p := range paragraphs {
		if isLaidOut(p) {
			paragraphs[i] = "```\n" + p + "\n```"
		} else {
			paragraphs[i] = escapeMarkdown(p)
		}
	}
	return strings.Join(paragraphs, "\n\n")
}

// isLaidOut reports whether a paragraph has columns or an indented line.
func isLaidOut(paragraph string) bool {
	for line := range strings.Lines(paragraph) {
		if strings.Contains(strings.TrimRight(line, " \n"), "  ") {
			return true
		}
	}
	return false
}

var markdown = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `_`, `\_`, "`", "\\`", `<`, `\<`, `#`, `\#`, `|`, `\|`)

func escapeMarkdown(text string) string { return markdown.Replace(text) }

func writeCompressed(name string, content []byte) error {
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression) // without a time, so that equal pages are equal files
	if err != nil {
		return err
	}
	if _, err := z.Write(content); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	return os.WriteFile(name, b.Bytes(), 0o644) //nolint:gosec // everybody reads a man page
}
