// Package release tests releases: that equal sources give equal programs and, with the build tag release_check, the
// files that goreleaser made. `make release-check` uses it.
package release
