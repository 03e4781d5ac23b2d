package manifest_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/manifest"
)

const located = header + `spec:
  cloud: gcp
  control_plane: {machine: {cpus: 4+}}
  pools:
  - name: slow
    spot_fallback: on_demand
    machine: {use_spot: true, zone: a}
  - name: gpu
    spot_fallback: on_demand
    labels: {tier: train}
    machine: {cpus: 8+, zone: a}
`

func TestErrorsFoundLaterHaveTheirPlaces(t *testing.T) {
	d := parseOne(t, located)
	for _, c := range []struct {
		err  error
		want string
	}{
		{&api.FieldError{Field: "spec.cloud", Value: "gcp", Want: "aws, as it is"},
			`dev.yaml:5:10: spec.cloud: "gcp", want aws, as it is`},
		{&api.FieldError{Field: "spec.pools[gpu].machine.cpus", Value: "8+", Want: "less"},
			`dev.yaml:14:21: spec.pools[gpu].machine.cpus: "8+", want less`},
		{&api.FieldError{Field: "spec.pools[gpu].machine.disk_size", Want: "more"},
			`dev.yaml:14:5: spec.pools[gpu].machine.disk_size: left out, want more`},
		{&api.FieldError{Field: "spec.pools[gpu].labels[tier]", Want: "no password"},
			`dev.yaml:13:20: spec.pools[gpu].labels[tier]: a hidden value, want no password`},
		{&api.FieldError{Field: "spec.ssh.proxy_jump_secret", Value: "bastion", Want: "another"},
			`dev.yaml:4:1: spec.ssh.proxy_jump_secret: "bastion", want another`},
		{&api.FieldError{Field: "spec.rke2.registries[docker.io].secret", Value: "login", Want: "another"},
			`dev.yaml:4:1: spec.rke2.registries[docker.io].secret: "login", want another`},
		{&api.FieldError{Field: "spec.ssh.proxy_jump_secret", Value: "Hunter/2", Want: "a name"},
			"dev.yaml:4:1: spec.ssh.proxy_jump_secret: a hidden value, want a name"},
		{&api.FieldError{Field: "spec.rke2.config[secret]", Value: "hunter", Want: "no password"},
			"dev.yaml:4:1: spec.rke2.config[secret]: a hidden value, want no password"},
		{&api.FieldError{Field: "metadata.labels[team]", Want: "some"},
			`dev.yaml:3:1: metadata.labels[team]: left out, want some`},
		{&api.FieldError{Field: "cpus", Value: "8+", Want: "fewer with --zone"},
			`dev.yaml:14:21: spec.pools[gpu].machine.cpus: "8+", want fewer with zone`},
		{&api.FieldError{Field: "labels", Value: "tier=train", Want: "other"},
			`dev.yaml:13:20: spec.pools[gpu].labels[tier]: "tier=train", want other`},
		{&api.FieldError{Field: "pool", Value: "gpu", Want: "other"},
			`dev.yaml:11:11: spec.pools[gpu].name: "gpu", want other`},
		{&api.FieldError{Field: "region", Value: "moon", Want: "a region"},
			`dev.yaml:4:1: spec.region: "moon", want a region`},
		{errors.Join(&api.FieldError{Field: "zone", Value: "a", Want: "a zone"}),
			"dev.yaml:10:37: spec.pools[slow].machine.zone: \"a\", want a zone\n" +
				"dev.yaml:14:31: spec.pools[gpu].machine.zone: \"a\", want a zone"},
	} {
		err := d.LocateErrors(c.err)
		var placed *manifest.PlaceErrors
		if !errors.As(err, &placed) || err.Error() != c.want {
			t.Errorf("got  %v\nwant %s", err, c.want)
		}
		if again := d.LocateErrors(err); again != err {
			t.Errorf("located twice: %v", again)
		}
	}
}

func TestARuleNamesThePoolThatBreaksIt(t *testing.T) {
	_, err := parseOne(t, located).NewCluster(now)
	const want = `dev.yaml:12:20: spec.pools[gpu].spot_fallback: "on_demand", want only with use_spot`
	if err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "\n") {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestARefusedChangeHasItsPlace(t *testing.T) {
	d := parseSpec(t, "cloud: gcp", "control_plane: {machine: {cpus: 4+}}")
	stored, err := parseSpec(t, "cloud: aws").NewCluster(now)
	if err != nil {
		t.Fatal(err)
	}
	spec, labels, err := d.MergeInto(stored)
	if err != nil {
		t.Fatal(err)
	}
	err = d.LocateErrors(stored.ChangeTo(spec, labels, now))
	if err == nil || !strings.Contains(err.Error(), `dev.yaml:5:10: spec.cloud: "gcp", want aws, as it is`) ||
		!strings.Contains(err.Error(), `dev.yaml:6:35: spec.control_plane.machine.cpus: "4+", want unset, as it is`) {
		t.Errorf("%v", err)
	}
}

func TestOtherErrorsAreKept(t *testing.T) {
	d, other := parseOne(t, located), errors.New("etcd does not answer")
	if err := d.LocateErrors(other); !errors.Is(err, other) {
		t.Errorf("%v", err)
	}
	err := d.LocateErrors(errors.Join(other, &api.FieldError{Field: "spec.cloud", Value: "gcp", Want: "aws"}))
	if !errors.Is(err, other) || !strings.Contains(err.Error(), "dev.yaml:5:10: spec.cloud") {
		t.Errorf("%v", err)
	}
	if err := d.LocateErrors(nil); err != nil {
		t.Errorf("%v", err)
	}
}
