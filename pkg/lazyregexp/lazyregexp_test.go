package lazyregexp_test

import (
	"slices"
	"testing"

	"github.com/sky-shift/skyctl/pkg/lazyregexp"
)

func TestExpressionIsCompiledWhenItIsUsed(t *testing.T) {
	word := lazyregexp.New(`^(\w+) (\w+)$`)
	if !word.MatchString("a b") || word.MatchString("a") {
		t.Error("it matches something else")
	}
	if got := word.FindStringSubmatch("a b"); !slices.Equal(got, []string{"a b", "a", "b"}) {
		t.Errorf("got %q", got)
	}
	if got := word.ReplaceAllString("a b", "$2 $1"); got != "b a" {
		t.Errorf("got %q", got)
	}
	wrong := lazyregexp.New("(") // nothing happens yet
	defer func() {
		if recover() == nil {
			t.Error("a wrong expression was used")
		}
	}()
	wrong.MatchString("a")
}
