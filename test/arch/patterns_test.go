package arch

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"testing"
)

// textOf is the value of a literal, or of several with + between them.
func textOf(e ast.Expr) (text string, isLiteral bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		text, err := strconv.Unquote(e.Value)
		return text, err == nil
	case *ast.BinaryExpr:
		left, ok := textOf(e.X)
		right, alsoOK := textOf(e.Y)
		return left + right, ok && alsoOK && e.Op == token.ADD
	}
	return "", false
}

// findPatterns returns what is wrong with the regular expressions of a file, and how many lazy ones it has. Eager says
// that variables of the package may have compiled ones.
func findPatterns(fset *token.FileSet, f *ast.File, eager bool) (wrong []string, lazy int) {
	at := func(n ast.Node, format string, args ...any) {
		wrong = append(wrong, fmt.Sprintf("%s: ", fset.Position(n.Pos()))+fmt.Sprintf(format, args...))
	}
	for _, d := range f.Decls {
		isVariable := false
		if g, ok := d.(*ast.GenDecl); ok {
			isVariable = g.Tok == token.VAR
		}
		ast.Inspect(d, func(n ast.Node) bool {
			if _, inFunction := n.(*ast.FuncLit); inFunction {
				return false
			}
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) != 1 {
				return true
			}
			called, ok := call.Fun.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			of, _ := called.X.(*ast.Ident)
			switch {
			case of == nil:
			case of.Name == "regexp" && called.Sel.Name == "MustCompile" && isVariable && !eager:
				at(n, "compiled whenever skyctl starts: use lazyregexp.New")
			case of.Name == "lazyregexp" && called.Sel.Name == "New":
				lazy++
				text, isLiteral := textOf(call.Args[0])
				if _, err := regexp.Compile(text); err != nil || !isLiteral {
					at(n, "no literal of a regular expression: %v", err)
				}
			}
			return true
		})
	}
	return wrong, lazy
}

func TestRegularExpressionsAreValidAndCompiledLate(t *testing.T) {
	all := list(t)
	client := all[slices.IndexFunc(all, func(p goPackage) bool { return p.name() == "cmd/skyctl" })]
	lazy := 0
	for _, p := range all {
		for _, file := range p.GoFiles {
			fset := token.NewFileSet()
			f, err := parser.ParseFile(fset, filepath.Join(p.Dir, file), nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			wrong, count := findPatterns(fset, f, !slices.Contains(client.Deps, p.ImportPath))
			for _, fault := range wrong {
				t.Error(fault)
			}
			lazy += count
		}
	}
	if lazy < 40 {
		t.Errorf("found %d lazy expressions only", lazy)
	}
}

func TestWrongRegularExpressionsAreFound(t *testing.T) {
	const source = `package p
var bad = lazyregexp.New("(" + ` + "`a`" + `)
var named = lazyregexp.New(text)
var early = regexp.MustCompile("a")
var late = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile("a") })
var good = lazyregexp.New("a" + "b")
func f() { regexp.MustCompile("a") }`
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, "p.go", source, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	for eager, want := range map[bool]int{false: 3, true: 2} {
		if wrong, lazy := findPatterns(fset, f, eager); len(wrong) != want || lazy != 3 {
			t.Errorf("%d lazy, %d wrong: %q", lazy, len(wrong), wrong)
		}
	}
}
