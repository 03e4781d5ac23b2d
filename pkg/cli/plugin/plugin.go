// Package plugin finds the programs on PATH that add commands to skyctl, as kubectl's plugins do: skyctl-foo is the
// command skyctl foo, and skyctl-foo-bar is skyctl foo bar. A dash inside a word is an underscore in the name of the
// program: skyctl-foo_bar is skyctl foo-bar.
package plugin

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

const (
	programPrefix = "skyctl-"
	// completerPrefix starts the name of a program that completes the arguments of a plugin: skyctl_complete-foo.
	completerPrefix = "skyctl_complete-"
)

// Program is a file on PATH whose name is that of a plugin.
type Program struct {
	Path string
	// Words are the words of the command behind skyctl.
	Words      []string
	Executable bool
	// ShadowedBy is a file with the same name in a directory before this one.
	ShadowedBy string
}

// Find returns the plugin with the longest name that the words of a command line begin with, and how many words that
// are. Words from the first flag on are arguments. found is false if there is no plugin.
func Find(path string, args []string) (program string, words int, found bool) {
	for words = countCommandWords(args); words > 0; words-- {
		if program, found = findProgram(path, programPrefix+joinWords(args[:words])); found {
			return program, words, true
		}
	}
	return "", 0, false
}

// FindCompleter returns the program that completes the arguments of a plugin.
func FindCompleter(path string, words []string) (string, bool) {
	return findProgram(path, completerPrefix+joinWords(words))
}

// List returns the plugins in the order in which they are found.
func List(path string) []Program {
	var all []Program
	for _, dir := range listDirs(path) {
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue // PATH often has directories that do not exist
		}
		for _, e := range entries {
			name, is := strings.CutPrefix(e.Name(), programPrefix)
			file := filepath.Join(dir, e.Name())
			info, err := os.Stat(file)
			if !is || name == "" || err != nil || info.IsDir() {
				continue
			}
			p := Program{Path: file, Words: splitWords(name), Executable: isExecutable(info)}
			if first, found := findProgram(path, e.Name()); found && first != file {
				p.ShadowedBy = first
			}
			all = append(all, p)
		}
	}
	return all
}

// countCommandWords counts the words before the first flag that can be a part of a program's name.
func countCommandWords(args []string) int {
	for i, word := range args {
		if word == "" || word[0] == '-' || strings.ContainsRune(word, os.PathSeparator) {
			return i
		}
	}
	return len(args)
}

func joinWords(words []string) string {
	var parts []string
	for _, w := range words {
		parts = append(parts, strings.ReplaceAll(w, "-", "_"))
	}
	return strings.Join(parts, "-")
}

func splitWords(name string) []string {
	words := strings.Split(name, "-")
	for i, w := range words {
		words[i] = strings.ReplaceAll(w, "_", "-")
	}
	return words
}

func findProgram(path, name string) (string, bool) {
	for _, dir := range listDirs(path) {
		file := filepath.Join(dir, name)
		if info, err := os.Stat(file); err == nil && !info.IsDir() && isExecutable(info) {
			return file, true
		}
	}
	return "", false
}

// listDirs returns the absolute directories of PATH, each once. A relative one would run a program of the directory in
// which a person happens to be.
func listDirs(path string) []string {
	var dirs []string
	for _, dir := range filepath.SplitList(path) {
		if filepath.IsAbs(dir) && !slices.Contains(dirs, filepath.Clean(dir)) {
			dirs = append(dirs, filepath.Clean(dir))
		}
	}
	return dirs
}

func isExecutable(info fs.FileInfo) bool { return info.Mode().Perm()&0o111 != 0 }
