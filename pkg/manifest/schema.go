package manifest

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/sky-shift/skyctl/pkg/api"
)

// schemaID names the schema. It is no address.
const schemaID = "urn:skyctl.sky-shift.org:cluster:v1"

// Schema returns the JSON schema (draft 2020-12) of a cluster file, for editors and checks before an apply. What it
// accepts can still be refused: it has no rules about several fields.
func Schema() ([]byte, error) {
	schema := newObjectSchema("")
	schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	schema["$id"] = schemaID
	schema["title"] = "skyctl cluster"
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(schema); err != nil {
		return nil, err
	}
	return text.Bytes(), nil
}

func newObjectSchema(path string) map[string]any {
	properties := map[string]any{}
	var required []string
	for _, f := range declared().inside[path] {
		properties[f.Name()] = newFieldSchema(f)
		if f.Required {
			required = append(required, f.Name())
		}
	}
	for _, name := range ignored[path] {
		properties[name] = map[string]any{"description": "ignored: skyctl get prints it"}
	}
	schema := map[string]any{"type": "object", "properties": properties, "additionalProperties": false}
	if path == "" { // apiVersion has a second name
		properties["api_version"] = properties["apiVersion"]
		schema["anyOf"] = []any{map[string]any{"required": []string{"apiVersion"}},
			map[string]any{"required": []string{"api_version"}}}
		required = required[1:]
	}
	if len(required) > 0 {
		schema["required"] = required
	}
	return schema
}

func newFieldSchema(f api.FileField) map[string]any {
	text := map[string]any{"type": []string{"string", "number"}}
	var schema map[string]any
	switch f.Type {
	case api.TypeObject:
		schema = newObjectSchema(f.Path)
	case api.TypeObjectList:
		schema = map[string]any{"type": "array", "items": newObjectSchema(f.Path)}
	case api.TypeMap:
		schema = map[string]any{"type": "object", "additionalProperties": text}
	case api.TypeValueMap:
		value := map[string]any{"type": []string{"string", "number", "boolean"}}
		schema = map[string]any{"type": "object", "additionalProperties": map[string]any{"anyOf": []any{value,
			map[string]any{"type": "array", "items": value, "minItems": 1}}}}
	case api.TypeList:
		schema = map[string]any{"type": "array", "items": text, "uniqueItems": true}
	case api.TypeCount:
		schema = map[string]any{"type": "integer", "minimum": 0}
	case api.TypeNumber:
		schema = map[string]any{"type": "number", "minimum": 0}
	case api.TypeSwitch:
		schema = map[string]any{"type": "boolean"}
	default:
		schema = text
	}
	if kind, ok := schema["type"].(string); ok && !f.Required && (kind == "object" || kind == "array") {
		schema["type"] = []string{kind, "null"} // an empty one
	}
	schema["description"] = describeForSchema(f)
	switch {
	case len(f.Values) == 1 && f.Required:
		schema["const"] = f.Values[0]
	case len(f.Values) > 0: // more values can be valid: other spellings, and other clouds
		schema["examples"] = f.Values
	}
	return schema
}

// describeForSchema is what an editor shows of a field.
func describeForSchema(f api.FileField) string {
	parts := []string{f.Help}
	if f.Want != "" && f.Want != f.Help {
		parts = append(parts, "Value: "+f.Want)
	}
	if f.Default != "" {
		parts = append(parts, "Default: "+f.Default)
	}
	if f.Change.Way != "" {
		parts = append(parts, "Changes "+string(f.Change.Way)+": "+f.Change.Why)
	}
	return strings.Join(parts, ".\n") + "."
}
