package skypilot_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud/skypilot"
	"github.com/sky-shift/skyctl/test/eventually"
)

func TestInspectReportsServerVersionAndClouds(t *testing.T) {
	f, clouds := start(t).cloud(t).InspectProvider(eventually.Context(t, 4*time.Minute))
	if f.Problem != "" || f.Version != skypilot.Version ||
		!slices.ContainsFunc(f.Details, func(s string) bool { return strings.Contains(s, "lean machines") }) {
		t.Errorf("%+v", f)
	}
	at := func(name string) int {
		return slices.IndexFunc(clouds, func(c api.CloudStatus) bool { return c.Name == name })
	}
	aws, second, gcp := at("aws"), at("paperspace"), at("gcp")
	if aws < 0 || second < 0 || gcp < 0 {
		t.Fatalf("clouds: %+v", clouds)
	}
	if !clouds[aws].Enabled || !clouds[second].Enabled || clouds[gcp].Enabled ||
		!strings.Contains(clouds[gcp].Reason, "skyd install-skypilot gcp") || gcp < aws || gcp < second {
		t.Errorf("clouds: %+v", clouds)
	}
	if i := at("kubernetes"); i >= 0 {
		t.Errorf("no spec may name %+v", clouds[i])
	}
}

func TestInspectExplainsAMissingInstallation(t *testing.T) {
	c, err := skypilot.New(skypilot.Options{Dir: t.TempDir(), Port: 1}) // which nothing answers at
	if err != nil {
		t.Fatal(err)
	}
	f, clouds := c.InspectProvider(t.Context())
	if !strings.Contains(f.Problem, "skyd install-skypilot") || strings.Contains(f.Problem, "\n") || len(clouds) > 0 {
		t.Errorf("%+v %+v", f, clouds)
	}
}
