package unit

import "strings"

// packagedSkyd is the program that the units of the packages run.
const packagedSkyd = "/usr/bin/skyd"

// FormatPackageName returns the unit of the packages that runs skyd dev for a user. It is empty for a user whose name
// would need an escape there.
func FormatPackageName(user string) string {
	if !plainName.MatchString(user) {
		return ""
	}
	return "skyd@" + user + ".service"
}

// RenderPackageTemplate returns a unit of the packages: it runs a command of skyd ("dev" or "worker") for the user who
// is its instance, on the user's default state directory. A package enables no instance: a person does.
func RenderPackageTemplate(command string) string {
	lines := []string{"# Comes with the package skyctl. No user's skyd runs until somebody enables it:",
		"#   systemctl enable --now " + packageTemplates[command].example, "[Unit]",
		"Description=" + packageTemplates[command].description + " for %i", "Documentation=man:skyctl(1)",
		"Wants=network-online.target", "After=network-online.target docker.service"}
	lines = append(lines, "StartLimitIntervalSec=0", "", "[Service]", "Type=exec", "User=%i",
		"EnvironmentFile=-/etc/skyctl/%i.env", "WorkingDirectory=~",
		"ExecStart="+quoteWord(packagedSkyd)+" "+command)
	lines = append(lines, serviceBehaviour...)
	lines = append(lines, "", "[Install]", "WantedBy=multi-user.target")
	return strings.Join(lines, "\n") + "\n"
}

var packageTemplates = map[string]struct{ example, description string }{
	"dev":    {"skyd@ann", "skyd, the server of skyctl,"},
	"worker": {"skyd-worker@ann", "skyd, the worker of a team that uses skyctl,"},
}
