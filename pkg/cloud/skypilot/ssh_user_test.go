package skypilot

import (
	"slices"
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
)

func TestCloudWithAFixedLoginUserIsLeftOut(t *testing.T) {
	for name, tt := range map[string]struct {
		user       string
		have, want []string
	}{
		"no user":          {"", []string{"aws", "gcp"}, []string{"aws", "gcp"}},
		"one of them":      {"admin", []string{"aws", "gcp"}, []string{"aws"}},
		"none of them":     {"admin", []string{"azure", "gcp"}, nil},
		"only that one":    {"admin", []string{"aws"}, []string{"aws"}},
		"no cloud enabled": {"", nil, nil},
	} {
		got, err := filterCloudsBySSHUser(api.GroupSpec{SSHUser: tt.user}, tt.have)
		all := api.FieldErrorsOf(err)
		refused := tt.user != "" && tt.want == nil
		if !slices.Equal(got, tt.want) || refused != (len(all) == 1 && all[0].Field == "ssh_user") {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}
