package skypilot

import (
	"path/filepath"
	"time"

	"github.com/sky-shift/skyctl/test/process"
)

const pollInterval = 100 * time.Millisecond

// startPythonProcess starts a Python program that outlives the context, with additional variables.
func (e *Env) startPythonProcess(part string, more []string, args ...string) (*process.Process, error) {
	env := append(e.EnvVars(), more...)
	switch part {
	case "server":
		env = append(env, "IS_SKYPILOT_SERVER=true") // as sky api start does
	case "aws":
		env = append(env, "MOTO_AMIS_PATH="+filepath.Join(e.pythonDir(), "skytest", "amis.json"))
	}
	p, err := process.Start(process.Options{Argv: append([]string{e.PythonInterpreter()}, args...), Env: env,
		Dir:     e.o.Dir,
		LogFile: e.logFile(part)})
	if err != nil {
		return nil, err
	}
	return p, e.guard.watchGroup(p.PID())
}
