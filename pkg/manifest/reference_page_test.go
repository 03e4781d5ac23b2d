package manifest_test

import (
	"bytes"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"text/template"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/manifest"
)

// shownTypes are the types of fields in the words of the page.
var shownTypes = map[api.FieldType]string{api.TypeText: "text", api.TypeCount: "whole number", api.TypeNumber: "number",
	api.TypeSwitch: "true or false", api.TypeList: "list of texts", api.TypeMap: "texts by key",
	api.TypeValueMap:   "texts or lists of texts by key",
	api.TypeObject:     "object",
	api.TypeObjectList: "list of objects"}

// shownObject is one table of the page.
type shownObject struct {
	Title, Help string
	// Change is how the fields change, if all of them do alike.
	Change string
	Fields []shownField
}

// shownField is one line of a table.
type shownField struct{ Name, Type, Help, Want, Default, Change string }

// TestTheReferencePageIsUpToDate compares docs/cluster-file.md with the declared fields.
func TestTheReferencePageIsUpToDate(t *testing.T) {
	example, err := os.ReadFile("testdata/example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parseOne(t, string(example)).NewCluster(now); err != nil {
		t.Errorf("the example: %v", err)
	}
	misspelt := strings.NewReplacer("  cloud:", "  clout:", "use_spot: true", "use_spot: \"yes\"").
		Replace(string(example))
	_, broken := manifest.Parse("train.yaml", []byte(misspelt))
	page := template.Must(template.ParseFiles("testdata/cluster-file.md.tmpl"))
	var text bytes.Buffer
	if err := page.Execute(&text, map[string]any{"Example": string(example), "Errors": broken.Error() + "\n",
		"Objects": listObjects(t)}); err != nil {
		t.Fatal(err)
	}
	compareGolden(t, "../../docs/cluster-file.md", text.String())
}

// listObjects returns the tables: the top of a file, then each object with fields.
func listObjects(t *testing.T) []shownObject {
	objects := []shownObject{{Title: "The file", Help: "A cluster."}}
	index := map[string]int{"": 0}
	for _, f := range api.FileFields() {
		i, known := index[f.Parent()]
		if !known {
			t.Fatalf("%s is declared before its object", f.Path)
		}
		objects[i].Fields = append(objects[i].Fields, describeField(f))
		if f.Type == api.TypeObject || f.Type == api.TypeObjectList {
			index[f.Path] = len(objects)
			title := strings.Replace(f.Path, "spec.pools", "spec.pools[]", 1)
			objects = append(objects, shownObject{Title: title, Help: beginSentence(f.Help) + "."})
		}
	}
	for i, o := range objects {
		changes := map[string]bool{}
		for _, f := range o.Fields {
			if f.Type != shownTypes[api.TypeObject] {
				changes[f.Change] = true
			}
		}
		if len(changes) == 1 {
			objects[i].Change = strings.Join(slices.Collect(maps.Keys(changes)), "")
		}
	}
	return objects
}

func beginSentence(text string) string { return strings.ToUpper(text[:1]) + text[1:] }

// describeField is the line of a field.
func describeField(f api.FileField) shownField {
	line := shownField{Name: "`" + f.Name() + "`", Type: shownTypes[f.Type], Help: f.Help, Want: f.Want,
		Default: f.Default, Change: string(f.Change.Way)}
	if f.Required {
		line.Default = "required"
	}
	if f.Type == api.TypeObjectList {
		line.Type += " by `" + f.Key + "`"
	}
	if len(f.Values) > 1 {
		line.Want = "`" + strings.Join(f.Values, "`, `") + "`"
	}
	if f.Change.Why != "" {
		line.Change += ": " + f.Change.Why
	}
	if f.Change.Instead != "" {
		line.Change += "; " + f.Change.Instead
	}
	for _, text := range []*string{&line.Help, &line.Want, &line.Default, &line.Change} {
		*text = strings.ReplaceAll(*text, "|", `\|`)
	}
	return line
}

// TestEveryFieldOfAFileSaysItsDefault: a page without one leaves the reader to guess.
func TestEveryFieldOfAFileSaysItsDefault(t *testing.T) {
	for _, f := range api.FileFields() {
		isObject := f.Type == api.TypeObject || f.Type == api.TypeObjectList
		if !isObject && !f.Required && f.Default == "" {
			t.Errorf("%s has no default", f.Path)
		}
		for _, text := range []string{f.Help, f.Want, f.Default} {
			if strings.Contains(text, "--") || strings.Contains(text, "repeated") {
				t.Errorf("%s is worded for a flag: %s", f.Path, text)
			}
		}
		if f.Type == api.TypeObject || f.Type == api.TypeObjectList {
			continue
		}
		if _, err := f.NormalizeValues([]string{f.Example}); err != nil {
			t.Errorf("the example of %s: %v", f.Path, err)
		}
	}
}
