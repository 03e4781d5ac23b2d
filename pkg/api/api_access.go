package api

import "strings"

// The ways in which the Kubernetes API may be asked to be reached. APIAuto is the default, and stored as nothing.
const (
	APIAuto   = "auto"
	APIPublic = "public"
	APITunnel = "tunnel"
)

// normalizeAPIAccess is the normal form of a way, if there is such a one.
func normalizeAPIAccess(s string) (string, bool) {
	switch lower := strings.ToLower(s); lower {
	case "", APIAuto:
		return "", true
	case APIPublic, APITunnel:
		return lower, true
	}
	return "", false
}

// validateAPIAccess checks what the spec says of the way to the API.
func (s ClusterSpec) validateAPIAccess(errs *fieldErrors) {
	access, ok := normalizeAPIAccess(s.APIAccess)
	switch {
	case !ok:
		errs.addField("api_access", s.APIAccess,
			"auto, public (port 6443 of the head is opened) or tunnel (through SSH)")
	case access == APITunnel && s.APICIDR != "":
		errs.addField("api_cidr", s.APICIDR, "nothing beside api_access tunnel, with which nobody reaches the API's "+
			"port from outside")
	}
}
