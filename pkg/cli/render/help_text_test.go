package render

import (
	"strings"
	"testing"
)

func TestHelpIsBrokenByTheKindOfEachLine(t *testing.T) {
	for what, tt := range map[string]struct {
		width      int
		text, want string
	}{
		"nothing is too wide": {20, "one\ntwo\n\n  three\n", "one\ntwo\n\n  three\n"},
		"a paragraph is filled again": {20, "one two three four\nfive six seven eight nine\n",
			"one two three four\nfive six seven eight\nnine\n"},
		"paragraphs stay apart":    {9, "one two three\n\nfour five\n", "one two\nthree\n\nfour five\n"},
		"a long word stays whole":  {8, "a verylongword b\n", "a\nverylongword\nb\n"},
		"wide characters count 2":  {8, "検索 検索 検索\n", "検索\n検索\n検索\n"},
		"descriptions hang":        {24, "  name    one two three four\n", "  name    one two three\n          four\n"},
		"a comment goes on as one": {16, "  # one two three four\n", "  # one two\n  # three four\n"},
		"a command goes on behind a backslash": {24, "  skyctl create cluster dev --wait\n",
			"  skyctl create \\\n    cluster dev --wait\n"},
		"other indented text goes on indented": {12, "  one two three\n", "  one two\n    three\n"},
	} {
		got := FitHelp(tt.text, tt.width)
		if got != tt.want {
			t.Errorf("%s: got\n%s\nwant\n%s", what, got, tt.want)
		}
		if again := FitHelp(got, tt.width); !strings.Contains(tt.want, "\\") && again != got {
			t.Errorf("%s: broken twice it is\n%s", what, again)
		}
	}
}
