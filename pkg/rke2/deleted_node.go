package rke2

import (
	"context"
	"strings"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/remote"
)

// nodeGrace is how long the question about the Node may take once the API is ready, which it was not asked before.
const nodeGrace = 20 * time.Second

// RestartServer restarts the server of a head, and returns once it is up. Its Node may be being deleted: RKE2 then
// removes the only server's control plane whenever its API is ready (rancher/rke2 pkg/rke2/spc.go), and etcd's
// finalizer keeps the Node, because etcd does not remove its only member (k3s pkg/etcd/member_controller.go). So in the
// moment after the start the finalizers are removed. If nodeDeleted is true, the server has to be restarted once more,
// which registers a new Node. progress may be nil.
func RestartServer(ctx context.Context, h *remote.Host, nodeName string, progress func(string)) (nodeDeleted bool,
	err error) {
	if err := RestartUnit(ctx, h, api.RoleHead); err != nil {
		return false, err
	}
	return awaitServerAndNode(ctx, h, nodeName, progress)
}

// awaitServerAndNode returns once the server is up, or its Node is deleted whose deletion had been requested.
func awaitServerAndNode(ctx context.Context, h *remote.Host, nodeName string, progress func(string)) (deleted bool,
	err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	answer, up := make(chan bool, 1), make(chan error, 1)
	go func() { answer <- finishNodeDeletion(ctx, h, nodeName) }()
	go func() { up <- AwaitServer(ctx, h, progress) }()
	select {
	case deleted = <-answer:
		if deleted {
			return true, nil
		}
		return false, <-up
	case err = <-up:
	}
	if err != nil {
		return false, err
	}
	select {
	case deleted = <-answer:
	case <-time.After(nodeGrace):
	}
	return deleted, nil
}

// finishNodeDeletion waits for the API of the machine, and removes the finalizers of its Node if that is being deleted.
// It reports whether the Node is deleted now.
func finishNodeDeletion(ctx context.Context, h *remote.Host, nodeName string) bool {
	out, err := h.RunScript(ctx, "looking at the server's Node", requestScript+
		"node=https://127.0.0.1:6443/api/v1/nodes/"+remote.QuoteShell(nodeName)+"\n"+deletedNodeScript)
	return err == nil && strings.TrimSpace(string(out)) == "deleted"
}

// deletedNodeScript asks for the Node's metadata until there is an answer.
const deletedNodeScript = `
command -v curl >/dev/null || exit 72
while :; do
  if request_as_admin -H 'Accept: application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1' "$node"; then
    grep -Eq '(^|[^\])"deletionTimestamp": *"' "$tmp/body" || { echo kept; exit 0; }
    if request_as_admin -X PATCH -H 'Content-Type: application/merge-patch+json' \
      -d '{"metadata":{"finalizers":null}}' "$node"; then echo deleted; exit 0; fi
  fi
  case "$why" in 404*) echo none; exit 0;; esac
  sleep 0.1
done`
