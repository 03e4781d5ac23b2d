package arch

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// pure are packages without side effects: same input, same output. Workflows are replayed, so they are pure too, except
// for Temporal's own time and concurrency.
var pure = []string{"pkg/api", "pkg/manifest", "pkg/plan", "pkg/release", "pkg/spelling", "workflows"}

// outside are imports through which the world comes in, with all that lies below them.
var outside = []string{"os", "net", "syscall", "log", "crypto/rand", "math/rand", "database", "embed", "io/ioutil",
	"github.com/google/uuid"}

// harmless lie below those and only read and write text.
var harmless = []string{"net/netip", "net/url"}

// clocks are functions whose result depends on when they are called, or that wait.
var clocks = []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"}

func impurities(fset *token.FileSet, f *ast.File) []string {
	var found []string
	at := func(n ast.Node) string { return fset.Position(n.Pos()).String() }
	clock := ""
	for _, imp := range f.Imports {
		path, _ := strconv.Unquote(imp.Path.Value)
		if path == "time" {
			clock = "time"
			if imp.Name != nil {
				clock = imp.Name.Name
			}
		}
		if !slices.Contains(harmless, path) &&
			slices.ContainsFunc(outside, func(root string) bool { return under(path, root) }) {
			found = append(found, fmt.Sprintf("%s: imports %s", at(imp), path))
		}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			found = append(found, fmt.Sprintf("%s: starts a goroutine", at(n)))
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok && clock != "" && x.Name == clock && slices.Contains(clocks, n.Sel.Name) {
				found = append(found, fmt.Sprintf("%s: uses time.%s", at(n), n.Sel.Name))
			}
		}
		return true
	})
	return found
}

func TestPurePackagesHaveNoSideEffects(t *testing.T) {
	looked := 0
	for _, p := range list(t) {
		if !slices.Contains(pure, p.name()) {
			continue
		}
		for _, file := range p.GoFiles {
			fset := token.NewFileSet()
			f, err := parser.ParseFile(fset, filepath.Join(p.Dir, file), nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			looked++
			for _, fault := range impurities(fset, f) {
				t.Errorf("%s is to be pure: %s", p.name(), fault)
			}
		}
	}
	if looked < 5 {
		t.Errorf("looked at %d files only: is the table of pure packages right?", looked)
	}
}

func TestImpurityIsFound(t *testing.T) {
	for src, says := range map[string]string{
		`import "os/exec"; var _ = exec.Command`:                "imports os/exec",
		`import "net"; var _ net.IP`:                            "imports net",
		`import "net/http"; var _ http.Client`:                  "imports net/http",
		`import "net/netip"; var _ netip.Addr`:                  "",
		`import "crypto/rand"; var _ = rand.Reader`:             "imports crypto/rand",
		`import "time"; var _ = time.Now()`:                     "uses time.Now",
		`import clock "time"; var _ = clock.Now`:                "uses time.Now",
		`func f() { go f() }`:                                   "starts a goroutine",
		`import "time"; func f() { time.Sleep(time.Second) }`:   "uses time.Sleep",
		`import "time"; var _ = time.Second; var _ = time.Unix`: "",
		`import "fmt"; import "network"; var _ = fmt.Sprint`:    "",
	} {
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, "x.go", "package x; "+src, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(impurities(fset, f), "\n"); (says == "") != (got == "") || !strings.Contains(got, says) {
			t.Errorf("%s: found %q, want %q", src, got, says)
		}
	}
}
