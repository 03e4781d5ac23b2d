package manifest_test

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"
	"testing/quick"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"sigs.k8s.io/yaml"

	"github.com/sky-shift/skyctl/pkg/manifest"
)

// newChecker returns a function that checks YAML with the schema.
func newChecker(t *testing.T) func(text []byte) error {
	t.Helper()
	text, err := manifest.Schema()
	if err != nil {
		t.Fatal(err)
	}
	schema, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("cluster.json", schema); err != nil {
		t.Fatal(err)
	}
	compiled, err := compiler.Compile("cluster.json")
	if err != nil {
		t.Fatal(err)
	}
	return func(text []byte) error {
		asJSON, err := yaml.YAMLToJSON(text)
		if err != nil {
			return err
		}
		instance, err := jsonschema.UnmarshalJSON(bytes.NewReader(asJSON))
		if err != nil {
			return err
		}
		return compiled.Validate(instance)
	}
}

func TestTheSchemaTakesWhatParseTakes(t *testing.T) {
	check := newChecker(t)
	example, err := os.ReadFile("testdata/example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := check(example); err != nil {
		t.Errorf("the example: %v", err)
	}
	if err := quick.Check(func(c randomCluster) bool {
		stored, err := json.Marshal(c.Cluster)
		if err != nil || check(stored) != nil {
			t.Log(check(stored))
			return false
		}
		exported, err := manifest.Export(c.Cluster)
		if err == nil {
			err = check(exported)
		}
		if err != nil {
			t.Logf("%v in\n%s", err, exported)
		}
		return err == nil
	}, nil); err != nil {
		t.Error(err)
	}
}

func TestTheSchemaRefusesWrongFilesWithoutParse(t *testing.T) {
	check := newChecker(t)
	for _, name := range []string{"unknown_field", "other_level", "flat_form", "wrong_types", "wrong_numbers",
		"missing_fields", "other_kind", "other_version", "no_object", "secret_values"} {
		text, err := os.ReadFile("testdata/malformed/" + name + ".yaml")
		if err != nil {
			t.Fatal(err)
		}
		if check(text) == nil {
			t.Errorf("the schema takes %s", name)
		}
	}
}
