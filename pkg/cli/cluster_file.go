package cli

import (
	"encoding/json"
	"fmt"
	"io"

	"sigs.k8s.io/yaml"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cli/render"
	"github.com/sky-shift/skyctl/pkg/manifest"
)

// fileList is the JSON form of several cluster files.
type fileList struct {
	APIVersion string            `json:"apiVersion"`
	Kind       string            `json:"kind"`
	Items      []json.RawMessage `json:"items"`
}

// writeClusterFiles writes clusters as files that skyctl apply takes: in YAML as documents, in JSON as an object, or a
// list. It leaves out damaged clusters, of which a part is missing.
func writeClusterFiles(w io.Writer, output *outputFlags, clusters []api.Cluster, isList bool) error {
	list := fileList{APIVersion: api.APIVersion, Kind: "ClusterList", Items: []json.RawMessage{}}
	for i := range clusters {
		if clusters[i].Status.Phase == render.PhaseDamaged {
			continue
		}
		text, err := manifest.Export(&clusters[i])
		if err != nil {
			return err
		}
		object, err := yaml.YAMLToJSON(text)
		if err != nil {
			return fmt.Errorf("writing cluster %s as JSON: %w", clusters[i].Metadata.Name, err)
		}
		list.Items = append(list.Items, object)
		if output.form() != render.AsYAML {
			continue
		}
		if len(list.Items) > 1 {
			text = append([]byte("---\n"), text...)
		}
		if _, err := w.Write(text); err != nil {
			return err
		}
	}
	switch {
	case output.form() == render.AsYAML:
		return nil
	case isList:
		return output.write(w, list)
	case len(list.Items) > 0:
		return output.write(w, list.Items[0])
	}
	return nil
}
