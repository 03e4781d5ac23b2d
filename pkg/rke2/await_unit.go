package rke2

import (
	"context"
	"fmt"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/remote"
)

// AwaitServer returns once the head's server is up: supervisor, tokens, kubeconfig and API server. If the unit fails or
// keeps crashing, it returns UnitFailed, if the kubelet exits again and again, KubeletFailed, and if a component of the
// control plane refuses its arguments, ComponentFailed, with the last lines of the logs; causes that can pass, such as
// the limit of an image registry, are waited for and reported. If ctx's deadline passes, it returns Deadline with the
// unmet condition. progress may be nil.
func AwaitServer(ctx context.Context, h *remote.Host, progress func(string)) error {
	return awaitStages(ctx, h, len(serverStages), progress)
}

// AwaitSupervisor is AwaitServer without the API server: it returns once the credentials exist and agents can join. The
// agents then wait for the API server.
func AwaitSupervisor(ctx context.Context, h *remote.Host, progress func(string)) error {
	return awaitStages(ctx, h, joinStages, progress)
}

func awaitStages(ctx context.Context, h *remote.Host, stages int, progress func(string)) error {
	w := newUnitWatch(api.RoleHead, progress)
	w.waitingFor = "the unit to start"
	return w.followUnit(ctx, h, "waiting for the RKE2 server",
		fmt.Sprintf("until=%d\n", stages)+stateScript+newTroubleScript(api.RoleHead)+serverScript)
}

// AwaitAgent returns once a worker's agent is up, which is before its Node is Ready. It fails early if the journal
// shows that the head will never accept the worker: WrongToken, WrongCA, DuplicateNode; and as AwaitServer does.
// progress may be nil.
func AwaitAgent(ctx context.Context, h *remote.Host, progress func(string)) error {
	w := newUnitWatch(api.RoleWorker, progress)
	w.waitingFor = "the agent to join"
	return w.followUnit(ctx, h, "waiting for the RKE2 agent", stateScript+newTroubleScript(api.RoleWorker)+agentScript)
}
