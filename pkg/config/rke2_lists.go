package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/sky-shift/skyctl/pkg/api"
)

// rke2Lists are the keys under rke2 in config.yaml that have the form of a cluster's file instead of one value. No flag
// and no variable sets them.
var rke2Lists = []string{"config", "env", "images", "registries"}

// decodeRKE2Lists decodes and checks what the file has under rke2Lists.
func decodeRKE2Lists(tree map[string]any) (api.RKE2Settings, error) {
	var lists api.RKE2Settings
	for name, node := range tree {
		if node == nil { // a heading with nothing under it
			continue
		}
		text, err := json.Marshal(map[string]any{name: node})
		if err != nil {
			return lists, fmt.Errorf("rke2.%s: %w", name, err)
		}
		d := json.NewDecoder(bytes.NewReader(text))
		d.DisallowUnknownFields()
		if err := d.Decode(&lists); err != nil {
			// the message of encoding/json names fields and types, and no values
			return lists, fmt.Errorf("rke2.%s has to have the form that a cluster's file has under spec.rke2.%[1]s: "+
				"%s; "+
				"see skyctl explain cluster.spec.rke2.%[1]s", name, strings.TrimPrefix(err.Error(), "json: "))
		}
	}
	return lists, lists.Validate()
}
