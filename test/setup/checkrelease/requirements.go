package main

import (
	"context"
	"os"
	"strings"
	"sync"
	"time"

	docker "github.com/docker/docker/client"
)

// wanted is what the tests are asked to run with.
type wanted struct {
	source, version, image, mirror string
}

// requirement is a thing that the tests need. Its check returns why it is missing.
type requirement struct {
	what, fix string
	check     func(ctx context.Context) error
}

// missingThing is a requirement that is not met.
type missingThing struct {
	requirement
	why error
}

// checkTimeout bounds each check: a network that swallows packets is not reachable.
const checkTimeout = 40 * time.Second

// requirements returns everything that has to be there.
func (w wanted) requirements() []requirement {
	all := []requirement{
		{"the release", "connect this computer to it, set https_proxy, or name a mirror or a directory of a release: " +
			"make e2e-rke2 RKE2=…", w.checkRelease},
		{"the Docker engine", "use a larger computer, or free what is short", checkEngine},
	}
	if isEngineHere(os.Getenv(docker.EnvOverrideHost)) {
		all = append(all, requirement{"memory", "end other programs, or use a larger computer", checkFreeMemory},
			requirement{"privileges", "use a Docker engine on a machine whose containers can have all privileges",
				checkPrivileges})
	}
	for _, image := range w.images() {
		fix := "connect the Docker engine to the registry, or use a mirror: make e2e-rke2 MIRROR=http://HOST:PORT"
		if w.mirror != "" {
			fix = "start the mirror (test/setup/mirror.sh), and name it by an address that containers reach"
		}
		all = append(all, requirement{"the image " + image, fix,
			func(ctx context.Context) error { return w.checkImage(ctx, image) }})
	}
	return all
}

// isEngineHere reports whether a Docker engine, as DOCKER_HOST names it, runs on this computer. Of another computer,
// the engine says all that is known.
func isEngineHere(host string) bool { return host == "" || strings.HasPrefix(host, "unix://") }

// findMissing checks all requirements at the same time, and returns those that are not met, in their order.
func findMissing(ctx context.Context, all []requirement) []missingThing {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	why := make([]error, len(all))
	var checks sync.WaitGroup
	for i, r := range all {
		checks.Go(func() { why[i] = r.check(ctx) })
	}
	checks.Wait()
	var missing []missingThing
	for i, r := range all {
		if why[i] != nil {
			missing = append(missing, missingThing{r, why[i]})
		}
	}
	return missing
}
