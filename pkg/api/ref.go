package api

// Ref names a cluster in etcd; it is what workflows and activities pass around instead of the object.
type Ref struct {
	Name string `json:"name"`
	UID  string `json:"uid"`
}

// Ref names this cluster, and no other that may bear its name.
func (c *Cluster) Ref() Ref { return Ref{Name: c.Metadata.Name, UID: c.Metadata.UID} }
