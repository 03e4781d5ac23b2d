package printable_test

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/sky-shift/skyctl/pkg/printable"
)

func TestLineCannotControlATerminalOrDeceive(t *testing.T) {
	for name, tt := range map[string]struct{ in, want string }{
		"plain":                   {"sky-c-0: 3 CPUs", "sky-c-0: 3 CPUs"},
		"other alphabets":         {"Zürich 東京 Αθήνα עברית", "Zürich 東京 Αθήνα עברית"},
		"colours":                 {"a\x1b[31;1mred\x1b[0m b", "ared b"},
		"a cleared screen":        {"a\x1b[2J\x1b[Hb", "ab"},
		"a truncated sequence":    {"a\x1b[31", "a"},
		"a sequence with a break": {"a\x1b[3\nb", "a b"},
		"a window title":          {"a\x1b]0;owned\x07b", "ab"},
		"a link":                  {"a\x1b]8;;http://evil\x1b\\text\x1b]8;;\x1b\\b", "atextb"},
		"an unterminated string":  {"a\x1b]0;owned\nb", "a b"},
		"a device string":         {"a\x1bPq#0\x1b\\b", "ab"},
		"a reset":                 {"a\x1bcb", "ab"},
		"a character set":         {"a\x1b(0b", "ab"},
		"an escape at the end":    {"a\x1b", "a"},
		"a C1 control sequence":   {"a\u009b31mb", "ab"},
		"a C1 command string":     {"a\u009d0;owned\u009cb", "ab"},
		"other C1 controls":       {"a\u0085b\u008dc", "a bc"},
		"C1 bytes outside UTF-8":  {"a\x9b31mb", "a\ufffd31mb"},
		"a bell and a backspace":  {"a\a\bb\x7f", "ab"},
		"breaks and tabs":         {"a\nb\tc\r\nd\ve\ff", "a b c  d e f"},
		"line separators":         {"a\u2028b\u2029c", "a b c"},
		"other spaces":            {"a\u00a0b\u3000c", "a b c"},
		"an override":             {"a\u202etxt.exe\u202cb", `a\u202etxt.exe\u202cb`},
		"embeddings":              {"\u202a\u202b\u202d", `\u202a\u202b\u202d`},
		"isolates":                {"\u2066a\u2067b\u2068c\u2069", `\u2066a\u2067b\u2068c\u2069`},
		"direction marks":         {"a\u200eb\u200fc\u061cd", `a\u200eb\u200fc\u061cd`},
		"zero width":              {"sky\u200b-c\u200c-0\u200d\u2060\ufeff", `sky\u200b-c\u200c-0\u200d\u2060\ufeff`},
		"a soft hyphen":           {"a\u00adb", `a\u00adb`},
		"tags":                    {"a\U000e0041b", `a\udb40\udc41b`},
		"a blank letter":          {"a\u3164b", `a\u3164b`},
		"invalid UTF-8":           {"a\xff\xfeb", "a\ufffd\ufffdb"},
		"nothing":                 {"", ""},
	} {
		got := printable.Line(tt.in)
		if got != tt.want {
			t.Errorf("%s: got %q, want %q", name, got, tt.want)
		}
		if again := printable.Line(got); again != got {
			t.Errorf("%s: not stable on a second call: %q", name, again)
		}
	}
}

func TestTextKeepsLineBreaks(t *testing.T) {
	if got := printable.Text("a\r\nb\x1b[31m\n\u202ec\td"); got != "a\nb\n\\u202ec d" {
		t.Errorf("got %q", got)
	}
	if got := printable.Lines([]string{"a\x1b[31m", "b\nc"}); len(got) != 2 || got[0] != "a" || got[1] != "b c" {
		t.Errorf("got %q", got)
	}
}

func TestStreamOfJSONKeepsItsData(t *testing.T) {
	in := map[string]string{"name": "a\u202eb\u200bc\U000e0041d\u2028e", "tab": "a\tb"}
	written, err := json.MarshalIndent(in, "", "\t")
	if err != nil {
		t.Fatal(err)
	}
	shown := printable.Stream(string(written))
	var out map[string]string
	if err := json.Unmarshal([]byte(shown), &out); err != nil || !maps.Equal(in, out) {
		t.Errorf("got %q, %v", out, err)
	}
	if strings.ContainsAny(shown, "\u202e\u200b") || !strings.Contains(shown, "\n\t") {
		t.Errorf("the output shows %s", shown)
	}
}

func TestUnterminatedCommandStringHidesNothing(t *testing.T) {
	if got := printable.Line("\x1b]" + strings.Repeat("x", 10000) + " the end"); !strings.HasSuffix(got, "the end") {
		t.Errorf("got %d bytes", len(got))
	}
}

func FuzzALineIsHarmless(f *testing.F) {
	f.Add("a\x1b[31m\u202e\xff\n")
	f.Fuzz(func(t *testing.T, s string) {
		got := printable.Line(s)
		if !utf8.ValidString(got) {
			t.Errorf("%q is not valid text", got)
		}
		for _, r := range got {
			if !printable.IsHarmless(r) && r != utf8.RuneError {
				t.Errorf("%q has %U", got, r)
			}
		}
	})
}
