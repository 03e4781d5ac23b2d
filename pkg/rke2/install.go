package rke2

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/remote"
)

// The exit statuses of our scripts.
const (
	exitChecksum    = 70
	exitVersion     = 71
	exitNoCurl      = 72
	exitDownload    = 73
	exitTarballGone = 74
)

// InstallRelease installs the pinned release on a machine, as RKE2's install script does with a tarball. It does not
// change a machine that already has the release. It verifies the tarball before unpacking; a stamp, written last, marks
// a complete installation. env are the variables of rke2.env: a download uses the proxy that they set. progress may be
// nil.
func InstallRelease(ctx context.Context, h *remote.Host, a api.Artifacts, env map[string]string,
	progress func(string)) error {
	if progress == nil {
		progress = func(string) {}
	}
	progress("checking the installed release")
	out, err := h.RunScript(ctx, "checking the installed release", FactsScript+installedScript)
	if err != nil {
		return err
	}
	line, installed, _ := strings.Cut(string(out), "\n")
	f, err := parseFacts(h.Name(), line)
	if err != nil {
		return err
	}
	sum := a.SHA256[f.Arch]
	if sum == "" {
		return &Error{Kind: Unsupported, Machine: h.Name(), Permanent: true,
			Message: fmt.Sprintf("%[2]s has no RKE2 %[3]s for its architecture %[1]s", f.Arch, a.Source, a.Version)}
	}
	if isInstalled(installed, a.Version, sum) {
		return nil
	}
	job := installJob{h: h, a: a, f: f, sum: sum, env: env, progress: progress}
	if filepath.IsAbs(a.Source) {
		err = job.uploadTarball(ctx)
	} else {
		err = job.downloadTarball(ctx)
	}
	if err != nil {
		return err
	}
	progress("unpacking RKE2")
	_, err = h.RunScript(ctx, "unpacking RKE2", job.withVariables(unpackScript))
	return job.explainFailure(err)
}

// installedScript prints the stamp and the installed program's version, each on a line that may be empty.
const installedScript = `
head -n1 "$prefix/share/rke2/.skyctl" 2>/dev/null || echo
"$prefix/bin/rke2" --version 2>/dev/null | head -n1
true`

func isInstalled(output, version, sum string) bool {
	stamp, program, _ := strings.Cut(output, "\n")
	return strings.TrimSpace(stamp) == version+" "+sum && strings.HasPrefix(program, "rke2 version "+version+" ")
}

// installJob is the installation of one machine.
type installJob struct {
	h        *remote.Host
	a        api.Artifacts
	f        Facts
	sum      string
	env      map[string]string
	progress func(string)
}

func (j installJob) stagedPath() string { return stagingDir + "/" + j.sum + ".tar.gz" }

func (j installJob) url() string { return artifactURL(j.a, tarballName(j.f.Arch)) }

func (j installJob) uploadTarball(ctx context.Context) error {
	j.progress("uploading RKE2")
	err := j.h.UploadFile(ctx, filepath.Join(j.a.Source, tarballName(j.f.Arch)), j.stagedPath(), j.sum,
		func(done, total int64) {
			j.progress(fmt.Sprintf("uploading RKE2: %d of %d MB", done/1e6, total/1e6))
		})
	var mismatch *remote.ChecksumMismatch
	if errors.As(err, &mismatch) {
		return &Error{Kind: ChecksumMismatch, Machine: j.h.Name(), Message: "RKE2 was not installed", Cause: err,
			Permanent: true}
	}
	return j.explainFailure(err)
}

func (j installJob) downloadTarball(ctx context.Context) error {
	j.progress("downloading RKE2")
	script := RenderProxyVariables(j.env, j.url()) + j.withVariables(downloadScript)
	err := j.h.FollowScript(ctx, "downloading RKE2", script, func(bytes string) {
		j.progress("downloading RKE2: " + bytes + " MB")
	})
	return j.explainFailure(err)
}

// withVariables prepends the job's variables to a script.
func (j installJob) withVariables(s string) string {
	protocols := "=https"
	if strings.HasPrefix(j.a.Source, "http://") {
		protocols = "=http,https"
	}
	vars := ""
	for _, v := range [][2]string{
		{"dir", stagingDir}, {"file", j.stagedPath()}, {"sum", j.sum}, {"prefix", j.f.Prefix}, {"version", j.a.Version},
		{"url", j.url()}, {"protocols", protocols},
	} {
		vars += v[0] + "=" + remote.QuoteShell(v[1]) + "\n"
	}
	return vars + s
}

// downloadScript downloads the tarball, resuming an interrupted download, and renames it once its checksum is right. If
// a resumed download has a wrong checksum, it is downloaded once more from the start.
const downloadScript = `
umask 077
mkdir -p "$dir"
exec 9<"$dir"; flock -w 600 9 || exit 1
is_pinned() { [ -f "$1" ] && [ "$(sha256sum <"$1" | cut -c1-64)" = "$sum" ]; }
if is_pinned "$file"; then exit 0; fi
command -v curl >/dev/null || exit 72
part="$file.part"; fresh=0; [ -s "$part" ] || fresh=1
trap 'kill $watch 2>/dev/null' EXIT; trap 'exit 1' TERM HUP
(while sleep 1 >/dev/null 2>&1; do echo "$(($(stat -c %s "$part" 2>/dev/null || echo 0) / 1000000))"; done) 9<&- &
watch=$!
proxy=${https_proxy:-${HTTPS_PROXY:-}}
case "$url" in http:*) proxy=${http_proxy:-};; esac
proxy=${proxy:-${all_proxy:-${ALL_PROXY:-}}}
[ -z "${goes_directly:-}" ] || proxy=
download() {
  curl --fail --location --silent --show-error --proto "$protocols" --proto-redir "$protocols" --connect-timeout 15 \
    --speed-limit 1000 --speed-time 30 --retry 4 --retry-delay 1 --retry-connrefused -C - \
    -o "$part" "$url" 2>"$part.err"
  status=$?
  sed 's|//[^/@]*@|//|g' "$part.err" >&2; rm -f "$part.err"
}
while :; do
  download
  if is_pinned "$part"; then mv -f "$part" "$file"; exit 0; fi
  if [ $fresh = 1 ]; then break; fi
  case $status in 0|22|33|36) rm -f "$part"; fresh=1;; *) break;; esac
done
if [ $status -ne 0 ]; then
  [ -z "$proxy" ] ||
    echo "${proxy_owner:-the machine's environment} sets the proxy" \
      "$(echo "$proxy" | sed 's|^\([a-z0-9]*://\)\{0,1\}.*@|\1|')" >&2
  exit 73
fi
echo "sha256 of the received data: $(sha256sum <"$part" | cut -c1-64)" >&2
rm -f "$part"
exit 70`

// unpackScript does what RKE2's install script does with a tarball, and writes the stamp.
const unpackScript = `
set -e
exec 9<"$dir"; flock -w 600 9
stamp="$prefix/share/rke2/.skyctl"
has_version() {
  got=$("$prefix/bin/rke2" --version 2>&1 | head -n1)
  case "$got" in "rke2 version $version "*) ;; *) return 1;; esac
}
if [ "$(head -n1 "$stamp" 2>/dev/null)" = "$version $sum" ] && has_version; then rm -f "$file"; exit 0; fi
[ -f "$file" ] || exit 74
rm -f "$stamp"
mkdir -p "$prefix"
tar -xzf "$file" -C "$prefix" --no-same-owner || {
  [ "$(df -Pk "$prefix" | awk 'NR == 2 {print $4}')" -gt 10000 ] || echo "No space left for $prefix" >&2; exit 2; }
if [ "$prefix" != /usr/local ]; then
  for f in lib/systemd/system/rke2-server.service lib/systemd/system/rke2-agent.service bin/rke2-uninstall.sh; do
    if [ -f "$prefix/$f" ]; then sed -i "s|/usr/local|$prefix|g" "$prefix/$f"; fi
  done
  mv -f "$prefix"/lib/systemd/system/rke2-*.service /etc/systemd/system/
fi
if command -v restorecon >/dev/null; then
  restorecon -R "$prefix/bin" "$prefix/lib/systemd" "$prefix/share/rke2" || true
fi
systemctl daemon-reload
has_version || { echo "$got" >&2; exit 71; }
mkdir -p "$prefix/share/rke2"
echo "$version $sum" >"$stamp.new"
mv -f "$stamp.new" "$stamp"
rm -f "$file"`

// notFoundForm matches the error of curl for a missing file.
var notFoundForm = regexp.MustCompile(`returned error: (404|410)\b`)

// explainFailure converts a failed script into an Error.
func (j installJob) explainFailure(err error) error {
	var run *remote.RunError
	if !errors.As(err, &run) {
		return err
	}
	tail := strings.Join(run.Tail, "; ")
	e := &Error{Machine: j.h.Name(), Lines: run.Tail, Cause: err}
	url := j.url()
	switch run.Exit {
	case exitChecksum:
		e.Kind, e.Permanent, e.Cause = ChecksumMismatch, true, nil
		e.Message = fmt.Sprintf("%s does not have the pinned checksum %s and was not unpacked; %s", url, j.sum, tail)
	case exitVersion:
		e.Kind, e.Permanent, e.Cause = WrongVersion, true, nil
		e.Message = fmt.Sprintf("the release from %s is not %s but reports: %s", j.a.Source, j.a.Version, tail)
	case exitNoCurl:
		e.Kind, e.Permanent, e.Cause = Unsupported, true, nil
		e.Message = "curl is missing and RKE2 cannot be downloaded; use an image with curl, or a directory as " +
			"rke2.source"
	case exitDownload:
		e.Kind, e.Message, e.Cause = SourceUnreachable, fmt.Sprintf("downloading %s: %s", url, tail), nil
		if notFoundForm.MatchString(tail) {
			e.Kind, e.Permanent = BadArtifacts, true
		}
	case exitTarballGone:
		e.Kind, e.Message, e.Cause = InstallFailed, "the tarball was deleted before it was unpacked", nil
	default:
		e.Kind, e.Message = InstallFailed, "installing RKE2"
		e.Permanent = strings.Contains(tail, "No space left")
	}
	return e
}
