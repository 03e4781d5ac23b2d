package api

import (
	"slices"
	"time"
)

// NamedSecret is what anybody may see of a secret that a person stored: all but its values. Specs of clusters refer to
// it by its name.
type NamedSecret struct {
	Name string `json:"name"`
	// Keys are sorted by their name.
	Keys      []NamedSecretKey `json:"keys"`
	CreatedAt time.Time        `json:"created_at"`
	// UpdatedAt is when the values were written last.
	UpdatedAt time.Time `json:"updated_at"`
}

// NamedSecretKey is a key of a secret, with the size of its value in bytes.
type NamedSecretKey struct {
	Name string `json:"name"`
	Size int    `json:"size"`
}

// Size is the number of bytes of all values.
func (n NamedSecret) Size() int {
	total := 0
	for _, k := range n.Keys {
		total += k.Size
	}
	return total
}

// HasKeys reports whether the secret has all of some keys.
func (n NamedSecret) HasKeys(keys []string) bool {
	for _, key := range keys {
		if !slices.ContainsFunc(n.Keys, func(k NamedSecretKey) bool { return k.Name == key }) {
			return false
		}
	}
	return true
}

// KeyNames returns the names of the keys, sorted.
func (n NamedSecret) KeyNames() []string {
	var names []string
	for _, k := range n.Keys {
		names = append(names, k.Name)
	}
	return names
}
