package skypilot

import (
	"encoding/json"
	"testing"
)

func TestBothCloudsAreEnabled(t *testing.T) {
	raw := do(t, "/check", map[string]any{"clouds": []string{"aws", "paperspace"}, "verbose": false})
	var enabled map[string][]string
	if err := json.Unmarshal(raw, &enabled); err != nil {
		t.Fatalf("%v: %s", err, raw)
	}
	t.Logf("%s", raw)
}
