package api

// Ref names a cluster in etcd. Workflows and activities pass it instead of the object.
type Ref struct {
	Name string `json:"name"`
	UID  string `json:"uid"`
}

// Ref names this cluster, and no other with the same name.
func (c *Cluster) Ref() Ref { return Ref{Name: c.Metadata.Name, UID: c.Metadata.UID} }
