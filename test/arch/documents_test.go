package arch

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	// pathInCode matches a path of the repository between backticks, such as `pkg/plan/decide.go` or `test/e2e`.
	pathInCode = regexp.MustCompile("`((?:activities|cmd|docs|examples|pkg|release|test|worker|workflows)" +
		"(?:/[A-Za-z0-9_.-]+)*/?)`")
	// linkTarget matches the target of a Markdown link.
	linkTarget = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	// pageInNavigation matches the page of an entry of nav in mkdocs.yml.
	pageInNavigation = regexp.MustCompile(`(?m): (\S+\.md)$`)
	// heading matches a Markdown heading.
	heading = regexp.MustCompile(`(?m)^#+ (.+)$`)
	// notInAnchors matches the characters that GitHub omits from a heading's anchor.
	notInAnchors = regexp.MustCompile(`[^a-z0-9 _-]`)
)

// anchors returns the link targets of a document's headings.
func anchors(document string) map[string]bool {
	found := map[string]bool{}
	for _, match := range heading.FindAllStringSubmatch(document, -1) {
		text := notInAnchors.ReplaceAllString(strings.ToLower(match[1]), "")
		found[strings.ReplaceAll(text, " ", "-")] = true
	}
	return found
}

// deadReferences lists the paths and links in a document that lead nowhere. read returns the content of a file or "",
// and whether there is a file or folder of that name; names are relative to the repository.
func deadReferences(name, document string, read func(string) (string, bool)) []string {
	var dead []string
	for _, match := range pathInCode.FindAllStringSubmatch(document, -1) {
		if _, exists := read(match[1]); !exists {
			dead = append(dead, fmt.Sprintf("%s: `%s` does not exist", name, match[1]))
		}
	}
	for _, match := range linkTarget.FindAllStringSubmatch(document, -1) {
		if strings.Contains(match[1], "://") {
			continue
		}
		path, anchor, _ := strings.Cut(match[1], "#")
		target, exists := document, true
		if path != "" {
			target, exists = read(filepath.Join(filepath.Dir(name), path))
		}
		if !exists || anchor != "" && !anchors(target)[anchor] {
			dead = append(dead, fmt.Sprintf("%s: the link %s leads nowhere", name, match[1]))
		}
	}
	return dead
}

func TestDocumentsReferToWhatExists(t *testing.T) {
	const root = "../.."
	read := func(name string) (string, bool) {
		content, err := os.ReadFile(filepath.Join(root, name))
		if err == nil {
			return string(content), true
		}
		_, err = os.Stat(filepath.Join(root, name))
		return "", err == nil
	}
	var names []string
	for _, pattern := range []string{"*.md", "docs/*.md", "examples/*.md", "examples/*/*.md"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil || len(found) == 0 {
			t.Fatalf("no documents %s: %v", pattern, err)
		}
		names = append(names, found...)
	}
	for _, name := range names {
		name, err := filepath.Rel(root, name)
		if err != nil {
			t.Fatal(err)
		}
		document, exists := read(name)
		if !exists {
			t.Errorf("%s does not exist", name)
		}
		for _, reference := range deadReferences(name, document, read) {
			t.Error(reference)
		}
	}
}

// TestEveryPageIsInTheNavigation compares the pages of docs with the navigation of the site.
func TestEveryPageIsInTheNavigation(t *testing.T) {
	const root = "../.."
	config, err := os.ReadFile(filepath.Join(root, "mkdocs.yml"))
	if err != nil {
		t.Fatal(err)
	}
	_, nav, _ := strings.Cut(string(config), "\nnav:\n")
	var listed []string
	for _, match := range pageInNavigation.FindAllStringSubmatch(nav, -1) {
		listed = append(listed, match[1])
	}
	names, err := filepath.Glob(filepath.Join(root, "docs/*.md"))
	if err != nil || len(names) == 0 {
		t.Fatalf("no documents: %v", err)
	}
	var pages []string
	for _, name := range names {
		pages = append(pages, filepath.Base(name))
	}
	slices.Sort(listed)
	if !slices.Equal(listed, pages) {
		t.Errorf("nav in mkdocs.yml has\n%v\nand docs/ has\n%v", listed, pages)
	}
}

func TestDeadReferencesAreFound(t *testing.T) {
	files := map[string]string{"pkg/plan": "", "docs/a.md": "# One thing: here\n"}
	read := func(name string) (string, bool) { content, ok := files[name]; return content, ok }
	got := deadReferences("docs/b.md", "# Two\n`pkg/plan` `pkg/gone` [x](a.md#one-thing-here) [y](a.md#two) "+
		"[z](c.md) [w](#two) [u](https://example.com)", read)
	want := "docs/b.md: `pkg/gone` does not exist\ndocs/b.md: the link a.md#two leads nowhere\ndocs/b.md: the link " +
		"c.md leads nowhere"
	if strings.Join(got, "\n") != want {
		t.Errorf("got\n%s", strings.Join(got, "\n"))
	}
}
