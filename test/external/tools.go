//go:build tools

package external

// The programs that the stack runs, pinned by go.mod. `make external` builds them.
import (
	_ "github.com/temporalio/ui-server/v2/cmd/server"
	_ "go.etcd.io/etcd/etcdctl/v3"
	_ "go.etcd.io/etcd/etcdutl/v3"
	_ "go.etcd.io/etcd/server/v3"
	_ "go.temporal.io/server/cmd/server"
	_ "go.temporal.io/server/cmd/tools/sql"
)
