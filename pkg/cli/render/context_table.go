package render

// ContextView is a context of a person: a name for an installation.
type ContextView struct {
	Name    string `json:"name"`
	Current bool   `json:"current"`
	// ConfigDir is the state directory of the installation.
	ConfigDir string `json:"config_dir"`
	// Server is where the objects are: skyd on this computer, or the addresses of etcd. It is empty if it is unknown,
	// and Problem says why.
	Server  string `json:"server,omitempty"`
	Problem string `json:"problem,omitempty"`
}

// ContextList is the JSON form of all contexts.
type ContextList struct {
	Kind string `json:"kind"`
	// File has the contexts; it does not have to exist.
	File  string        `json:"file"`
	Items []ContextView `json:"items"`
}

// NewContextTable lists contexts. The current one has an asterisk, as in kubectl.
func NewContextTable(list ContextList) *Table {
	t := &Table{head: []string{"CURRENT", "NAME", "CONFIG-DIR", "SERVER"}}
	for _, c := range list.Items {
		mark, server := "", c.Server
		if c.Current {
			mark = "*"
		}
		if c.Problem != "" {
			server = "unknown: " + c.Problem
		}
		t.addRow(textCell(mark), textCell(c.Name), textCell(c.ConfigDir), textCell(server))
	}
	return t
}
