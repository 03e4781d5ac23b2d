package api

import "encoding/json"

// UnmarshalJSON also reads the spelling api_version of older versions and of files.
func (c *Cluster) UnmarshalJSON(data []byte) error {
	type plain Cluster // without this method
	read := struct {
		*plain
		Underscored string `json:"api_version"`
	}{plain: (*plain)(c)}
	if err := json.Unmarshal(data, &read); err != nil {
		return err
	}
	if c.APIVersion == "" {
		c.APIVersion = read.Underscored
	}
	return nil
}

// CompleteStored sets the fields that objects of older versions lack. Their specs never changed.
func (c *Cluster) CompleteStored() {
	if c.Metadata.Generation != 0 {
		return
	}
	c.Metadata.Generation = 1
	if c.Status.Phase == PhaseReady || c.Status.WasReady() {
		c.Status.ObservedGeneration = 1
	}
	c.Status.NextIndex = max(c.Status.NextIndex, c.Spec.MachineCount())
}
