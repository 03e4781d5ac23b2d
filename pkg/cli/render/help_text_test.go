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
		"a flag keeps its value": {30, "  skyctl create pool big --cpus 16+ --wait > b\n",
			"  skyctl create pool big \\\n    --cpus 16+ --wait > b\n"},
		"lines of a command are joined first": {24, "  skyctl get clusters --watch \\\n    -o wide\n",
			"  skyctl get clusters \\\n    --watch -o wide\n"},
		"lines of a command that fit stay": {24, "  skyctl get \\\n    clusters\n", "  skyctl get \\\n    clusters\n"},
		"quoted words stay whole": {30, "  skyctl exec dev --all -- 'df -h /'\n",
			"  skyctl exec dev --all -- \\\n    'df -h /'\n"},
		"a pipe into skyctl is a command": {24, "  cat a b | skyctl apply -f -\n",
			"  cat a b | skyctl \\\n    apply -f -\n"},
		"a remark goes above its command": {24, "  skyctl check -o wide  # all of it\n",
			"  # all of it\n  skyctl check -o wide\n"},
		"a remark that fits stays": {40, "  skyctl check -o wide  # all of it\n",
			"  skyctl check -o wide  # all of it\n"},
		"descriptions of several lines are filled": {24, "  name  one two three four\n        five\n\n        six\n",
			"  name  one two three\n        four five\n\n        six\n"},
		"descriptions that fit stay": {40, "  name  one\n        two\n", "  name  one\n        two\n"},
		"a topic is not a command": {30, "  skyctl help a  one two three four\n",
			"  skyctl help a  one two three\n                 four\n"},
		"a description without room goes below": {20, "  name  description-of-it\n",
			"  name\n      description-of-it\n"},
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
