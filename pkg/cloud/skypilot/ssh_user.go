package skypilot

import (
	"slices"
	"strings"

	"github.com/sky-shift/skyctl/pkg/api"
)

// sshUserClouds are the clouds on which a launch can choose the login user. SkyPilot 0.14.1 reads it from its
// configuration on aws (aws.ssh_user); the templates of all other clouds fix it.
var sshUserClouds = []string{"aws"}

// filterCloudsBySSHUser leaves out the clouds on which the login user cannot be chosen, if the spec sets it. If none is
// left, the error is an *api.FieldError.
func filterCloudsBySSHUser(spec api.GroupSpec, clouds []string) ([]string, error) {
	if spec.SSHUser == "" {
		return clouds, nil
	}
	kept := slices.DeleteFunc(slices.Clone(clouds),
		func(name string) bool { return !slices.Contains(sshUserClouds, name) })
	if len(kept) == 0 {
		return nil, newFieldError("ssh_user", spec.SSHUser, "the field left out on "+strings.Join(clouds, ", ")+
			": SkyPilot lets you choose the login user on "+strings.Join(sshUserClouds, ", ")+" only")
	}
	return kept, nil
}
