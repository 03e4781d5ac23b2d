package render

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/test/fixture"
)

func TestSecretsAreListedWithWhatNeedsThem(t *testing.T) {
	secrets := []api.NamedSecret{{Name: "bucket", CreatedAt: fixture.Noon}, {Name: "idle", CreatedAt: fixture.Noon}}
	list := NewSecretList(secrets, map[string]api.SecretUsers{
		"bucket": {Clusters: []string{"prod", "test"}, Snapshots: []string{"old/one"}}})
	text, err := json.Marshal(list)
	if err != nil || !strings.Contains(string(text), `"clusters":["prod","test"],"snapshots":["old/one"]`) ||
		!strings.Contains(string(text), `"clusters":[],"snapshots":[]`) {
		t.Errorf("%s, %v", text, err)
	}
	rows := NewSecretTable(list, true, fixture.Noon).rows
	if got := rows[0][len(rows[0])-1][0] + rows[0][len(rows[0])-2][0]; got != "1prod,test" {
		t.Errorf("got %q", got)
	}
}
