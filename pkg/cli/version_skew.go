package cli

import (
	"fmt"
	"strings"
	"time"

	"golang.org/x/mod/semver"

	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/server/daemon"
	build "github.com/sky-shift/skyctl/pkg/version"
)

// versionSkew is a server, or a team's worker, whose version may differ from this program's.
type versionSkew struct {
	// version is the server's, and start identifies its start.
	version, start string
	// where names the server in a sentence, and remedy is what to do if it is older.
	where, remedy string
}

// newServerSkew returns the skew of the skyd on this computer.
func newServerSkew(state daemon.State) versionSkew {
	return versionSkew{version: state.Version,
		start: fmt.Sprintf("%d %s", state.PID, state.Started.Format(time.RFC3339)),
		where: fmt.Sprintf("the running server (process %d)", state.PID), remedy: "run " + restartServerCommand}
}

// noteVersionSkew prints a note if the server has another version.
func (a *app) noteVersionSkew(s versionSkew) {
	if text := formatVersionNote(build.ReadBuild().Version, s); text != "" {
		a.printNote(text)
	}
}

// noteVersionSkewOnce is noteVersionSkew once per start of the server, also for the commands that follow.
func (a *app) noteVersionSkewOnce(cfg *config.Config, s versionSkew) {
	note := daemon.VersionNote{Client: build.ReadBuild().Version, Server: s.version, Start: s.start}
	if a.hasStructuredOutput() || formatVersionNote(note.Client, s) == "" || daemon.IsVersionNoteSaid(cfg, note) {
		return
	}
	a.noteVersionSkew(s)
	daemon.RecordVersionNote(cfg, note)
}

// describeInstallRemedy says what to do if the skyd that this program starts is older than this program.
func (a *app) describeInstallRemedy(cfg *config.Config) string {
	if s, err := a.findService(cfg); err == nil && s != nil {
		return "run skyctl server upgrade, so that the service runs the skyd of this skyctl"
	}
	skyd, err := a.env.Skyd()
	if err != nil {
		skyd = "the installed one"
	}
	return fmt.Sprintf("install skyd %s in place of %s, then run %s", build.ReadBuild().Version, skyd,
		restartServerCommand)
}

// formatVersionNote says that the server has another version, and what to do. It is empty if the versions are equal.
func formatVersionNote(own string, s versionSkew) string {
	switch {
	case own == s.version || s.version == "":
		return ""
	case isReleasedVersion(own) && isReleasedVersion(s.version) && semver.Compare(own, s.version) < 0:
		return fmt.Sprintf("this skyctl is %s, older than %s, which is skyd %s: install skyctl %s", own, s.where,
			s.version, s.version)
	case isReleasedVersion(own) && isReleasedVersion(s.version):
		return fmt.Sprintf("this skyctl is %s, newer than %s, which is skyd %s: %s", own, s.where, s.version, s.remedy)
	}
	return fmt.Sprintf("this skyctl is %s, and %s is skyd %s: use the same version of both; %s", own, s.where,
		s.version, s.remedy)
}

// isReleasedVersion reports whether a version can be ordered. A build between releases, such as v1.2.0-5-g0123456,
// cannot.
func isReleasedVersion(v string) bool { return semver.IsValid(v) && !strings.Contains(v, "-g") }
