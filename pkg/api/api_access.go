package api

import "strings"

// The ways in which the Kubernetes API is reached. APIAuto is the default and stored as an empty value.
const (
	APIAuto   = "auto"
	APIPublic = "public"
	APITunnel = "tunnel"
)

// normalizeAPIAccess returns the stored form of a way.
func normalizeAPIAccess(s string) (string, bool) {
	switch lower := strings.ToLower(s); lower {
	case "", APIAuto:
		return "", true
	case APIPublic, APITunnel:
		return lower, true
	}
	return "", false
}
