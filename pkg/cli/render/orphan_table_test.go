package render

import (
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/test/fixture"
	"github.com/sky-shift/skyctl/test/golden"
)

func TestOrphanTableShowsAgeAndPrice(t *testing.T) {
	silent := api.Orphan{Cloud: "gcp", Name: "sky-old-1", Cluster: "old", State: api.OrphanUnknown,
		FirstSeen: fixture.TimeAgo(time.Hour)}
	golden.Compare(t, "orphans.txt", NewOrphanTable(append(fixture.NewOrphans(), silent), false, fixture.Noon).String())
}

func TestOrphansHaveNoDeadlineWhileTheHomeIsInDoubt(t *testing.T) {
	if text := NewOrphanTable(fixture.NewOrphans(), true, fixture.Noon).String(); strings.Count(text,
		"not while the home is in doubt") != 2 {
		t.Errorf("the table is\n%s", text)
	}
}
