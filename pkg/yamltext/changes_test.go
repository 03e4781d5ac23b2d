package yamltext

import (
	"reflect"
	"strings"
	"testing"
)

// texts have a list at clusters in every form that people's files have.
var texts = map[string]string{
	"empty":          "",
	"only a comment": "# mine\n",
	"only a mark":    "---\n",
	"block":          "a: 1\nclusters:\n- name: x\n  v: 1\n- name: y\nb: 2\n",
	"indented block": "clusters:\n  - name: x\n  - name: y\n    text: |\n      # no comment\n\n      " +
		"more\nb: 2\n",
	"last":                  "a: 1\nclusters:\n- name: x\n",
	"no final newline":      "a: 1\nclusters:\n- name: x",
	"absent, no newline":    "a: 1",
	"empty, no newline":     "a: 1\nclusters: []",
	"CRLF":                  "a: 1\r\nclusters:\r\n- name: x\r\nb: 2\r\n",
	"CRLF, no newline":      "a: 1\r\nclusters: []",
	"comments":              "# head\nclusters: # of work\n# first\n- name: x # one\n# second\n- name: y\n\n# tail\n",
	"brackets":              "clusters: [] # none yet\nb: [c, d]\n",
	"null":                  "clusters: null\nb: 2\n",
	"nothing":               "clusters:\nb: 2\n",
	"tilde":                 "clusters: ~ # none\n",
	"flow":                  "clusters: [{name: x, v: 'it''s ]'}, {name: y}]\n",
	"anchors":               "base: &base {v: 1}\nclusters:\n- &first\n  name: x\n  <<: *base\n- *first\n",
	"quoted keys":           "\"clusters\":\n- \"name\": \"x\"\n'b': 2\n",
	"JSON":                  "{\"a\": 1, \"clusters\": [{\"name\": \"x # y\"}], \"b\": {}}",
	"JSON, empty":           "{\n    \"clusters\": [],\n    \"b\": {}\n}\n",
	"JSON, null":            "{\n\t\"clusters\": null,\n\t\"b\": \"\\\"\"\n}\n",
	"JSON, many lines":      "{\n  \"clusters\": [\n    {\n      \"name\": \"x\"\n    }\n  ]\n}\n",
	"JSON, absent":          "{\n  \"kind\": \"Config\"\n}\n",
	"JSON, nothing":         "{}\n",
	"end mark":              "---\na: 1\n...\n",
	"byte order mark":       "\ufeffclusters:\n- name: x\n",
	"wide characters":       "a: über ☃ # ☃\nclusters: ['☃', {name: ☃}]\n",
	"other line breaks":     "a: \"x\u2028y\"\nclusters:\n- name: x\n",
	"literal at the end":    "clusters:\n- name: x\nb: |+\n  text\n\n\n",
	"comment at the end":    "clusters:\n- name: x\n  # indented\n# not\n",
	"dash on its own line":  "clusters:\n-\n  name: x\n-\n  # why\n  name: y\n",
	"list of other entries": "clusters:\n- one\n- two\n",
}

var added = map[string]any{"name": "ours", "value": map[string]any{"server": "https://1.2.3.4:6443", "key": "a: b"}}

func parseText(t *testing.T, text string) *Document {
	t.Helper()
	d, err := Parse([]byte(text))
	if err != nil {
		t.Fatalf("parsing %q: %v", text, err)
	}
	return d
}

func TestItemIsAddedAndRemovedWithoutATrace(t *testing.T) {
	for name, text := range texts {
		t.Run(name, func(t *testing.T) {
			before := parseText(t, text)
			one, err := before.AddItem(added, "clusters")
			if err != nil {
				t.Fatalf("adding to %q: %v", text, err)
			}
			t.Logf("%s", one.Bytes())
			two, err := one.AddItem(map[string]any{"name": "second"}, "clusters")
			if err != nil {
				t.Fatalf("adding another one to %q: %v", one.text, err)
			}
			three, err := two.ReplaceItem(0, map[string]any{"name": "changed", "more": "lines"}, "clusters")
			if err != nil {
				t.Fatalf("replacing in %q: %v", two.text, err)
			}
			want := append([]any{map[string]any{"name": "changed", "more": "lines"}, added},
				listAt(before.Value(), []string{"clusters"})...)
			if got := three.ValueAt("clusters"); !reflect.DeepEqual(got, want) {
				t.Errorf("the list is %v, want %v", got, want)
			}
			after := three
			for _, index := range []int{1, 0} { // the first that came goes first
				if after, err = after.RemoveItem(index, "clusters"); err != nil {
					t.Fatalf("removing %d: %v", index, err)
				}
			}
			if after, err = after.RestoreForm(before, "clusters"); err != nil {
				t.Fatal(err)
			}
			if after.text != text {
				t.Errorf("left is\n%q, was\n%q", after.text, text)
			}
		})
	}
}

func TestListBelowAMappingIsCreated(t *testing.T) {
	for _, text := range []string{
		"", "other: 1\n", "kubernetes:\n  ports: ingress\nz: 1\n", "kubernetes: {}\n", "kubernetes:\n",
		"kubernetes: null\n",
		"kubernetes:\n    # indented by four\n    ports: ingress", "kubernetes: {ports: ingress} # flow\n",
		"kubernetes:\n  allowed_contexts:\n    - a\n  ports: ingress\n", "kubernetes:\n  allowed_contexts: [a, b]\n",
		"kubernetes:\n  allowed_contexts: []\n",
	} {
		before := parseText(t, text)
		with, err := before.AddItem("skyctl-dev", "kubernetes", "allowed_contexts")
		if err != nil {
			t.Errorf("adding to %q: %v", text, err)
			continue
		}
		without, err := with.RemoveItem(0, "kubernetes", "allowed_contexts")
		if err == nil {
			without, err = without.RestoreForm(before, "kubernetes", "allowed_contexts")
		}
		if err == nil {
			without, err = without.RestoreForm(before, "kubernetes")
		}
		if err != nil || without.text != text {
			t.Errorf("with: %q, left is %+v, was %q, %v", with.text, without, text, err)
		}
	}
}

func TestTextKeepsItsStyle(t *testing.T) {
	for text, want := range map[string]string{
		"current: kind # c\n":        "current: dev # c\n",
		"current: \"kind\"\n":        "current: \"dev\"\n",
		"current: 'it''s'":           "current: 'dev'",
		"current: \"\"\n":            "current: \"dev\"\n",
		"current:\nb: 1\n":           "current: dev\nb: 1\n",
		"current: null\n":            "current: dev\n",
		"b: 1\n":                     "b: 1\ncurrent: dev\n",
		"":                           "current: dev\n",
		"{\"current\":\"a\"}":        "{\"current\":\"dev\"}",
		"{\"b\": 1}":                 "{\"b\": 1, \"current\": \"dev\"}",
		"current:  a   # c\r\n":      "current:  dev   # c\r\n",
		"current: >-\n  folded\n":    "",
		"current: &here kind\n":      "",
		"current: [kind]\n":          "",
		"current:\n  kind\n":         "current:\n  dev\n",
		"? current\n: kind\nb: 1\n":  "",
		"---\ncurrent: a\n...\n":     "---\ncurrent: dev\n...\n",
		"a: 1\n...\n# after the end": "a: 1\ncurrent: dev\n...\n# after the end",
	} {
		changed, err := parseText(t, text).SetText("dev", "current")
		switch {
		case want == "" && err == nil:
			t.Errorf("%q was changed to %q", text, changed.text)
		case want != "" && (err != nil || changed.text != want):
			t.Errorf("%q became %+v, %v; want %q", text, changed, err, want)
		}
	}
	changed, err := parseText(t, "current: kind\n").SetText("123", "current")
	if err != nil || changed.text != "current: \"123\"\n" {
		t.Errorf("a number as text: %v, %v", changed, err)
	}
}

func TestTextBelowAMappingIsCreated(t *testing.T) {
	for text, want := range map[string]string{
		"":                                   "contexts:\n  team: /srv\n",
		"# mine\n":                           "# mine\ncontexts:\n  team: /srv\n",
		"contexts:\n":                        "contexts:\n  team: /srv\n",
		"contexts: {} # none yet\nb: 1\n":    "contexts: # none yet\n  team: /srv\nb: 1\n",
		"contexts: null\n":                   "contexts:\n  team: /srv\n",
		"contexts:\n    # my own\n    a: /a": "contexts:\n    # my own\n    team: /srv\n    a: /a",
		"contexts: {a: /a}\n":                "contexts: {a: /a, \"team\": \"/srv\"}\n",
		"contexts:\n  team: '/old' # why\n":  "contexts:\n  team: '/srv' # why\n",
		"{\"contexts\": {}}":                 "{\"contexts\": {\"team\":\"/srv\"}}",
		"contexts: text\n":                   "",
		"contexts: [a]\n":                    "",
		"contexts:\n  team: [a]\n":           "",
	} {
		changed, err := parseText(t, text).SetText("/srv", "contexts", "team")
		switch {
		case want == "" && err == nil:
			t.Errorf("%q was changed to %q", text, changed.text)
		case want != "" && (err != nil || changed.text != want):
			t.Errorf("%q became %+v, %v; want %q", text, changed, err, want)
		}
	}
}

func TestKeyIsRenamedInItsPlace(t *testing.T) {
	for _, tt := range []struct{ text, name, want string }{
		{"a:\n  old: 1 # why\n  z: 2\n", "new", "a:\n  new: 1 # why\n  z: 2\n"},
		{"a:\n  'old': 1\n", "new", "a:\n  \"new\": 1\n"},
		{"a: {old: 1}\n", "new", "a: {new: 1}\n"},
		{"a:\n  old: 1\n", "null", "a:\n  \"null\": 1\n"},
		{"a:\n  old: 1\n", "x: y", "a:\n  \"x: y\": 1\n"},
		{"a:\n  old: [1,\n    2]\n", "new", "a:\n  new: [1,\n    2]\n"},
		{"a:\n  old: 1\n  new: 2\n", "new", ""},
		{"a:\n  other: 1\n", "new", ""},
		{"a:\n  ? old\n  : 1\n", "new", "a:\n  ? new\n  : 1\n"},
	} {
		changed, err := parseText(t, tt.text).RenameKey(tt.name, "a", "old")
		switch {
		case tt.want == "" && err == nil:
			t.Errorf("%q was changed to %q", tt.text, changed.text)
		case tt.want != "" && (err != nil || changed.text != tt.want):
			t.Errorf("%q became %+v, %v; want %q", tt.text, changed, err, tt.want)
		}
	}
}

func TestOtherTextsAreRefused(t *testing.T) {
	for text, says := range map[string]string{
		"a: 1\n---\nb: 2\n":        "several documents",
		"a: 1\na: 2\n":             "different keys",
		"a: [\n":                   "not valid YAML",
		"- a\n- b\n":               "not a mapping",
		"just text":                "not a mapping",
		"a: \xff\n":                "not UTF-8",
		"a\x00b: 1":                "not UTF-8",
		"clusters: text\n":         "not a list",
		"clusters: {a: 1}\n":       "not a list",
		"clusters:\n  &x\n  - a\n": "cannot change",
	} {
		d, err := Parse([]byte(text))
		if err == nil {
			_, err = d.AddItem(added, "clusters")
		}
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v; want %q", text, err, says)
		}
	}
}

func FuzzChangesLeaveTheRest(f *testing.F) {
	for _, text := range texts {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		before, err := Parse([]byte(text))
		if err != nil {
			return
		}
		with, err := before.AddItem(added, "clusters")
		if err != nil {
			return
		}
		without, err := with.RemoveItem(0, "clusters")
		if err != nil {
			t.Fatalf("%q: what was added to %q cannot be removed: %v", with.text, text, err)
		}
		if without, err = without.RestoreForm(before, "clusters"); err != nil {
			t.Fatal(err)
		}
		if without.text != text {
			t.Errorf("left is %q, was %q", without.text, text)
		}
	})
}
