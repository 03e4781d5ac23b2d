package api

import (
	"crypto/x509"
	"encoding/pem"
	"net/url"
	"path"
	"path/filepath"
	"strings"
)

// ImageArchive is an archive of container images, in a form that RKE2 imports from its images directory.
type ImageArchive struct {
	// Path is an absolute path of the worker's computer, or a URL.
	Path string `json:"path"`
	// SHA256 of the archive in hexadecimal. Empty is the one that the file has when the cluster is created.
	SHA256 string `json:"sha256,omitempty"`
}

// imageArchiveEndings are the forms of archives that RKE2 imports (rancher/wharfie, pkg/tarfile/tarfile.go:
// SupportedExtensions).
var imageArchiveEndings = []string{".tar", ".tar.gz", ".tgz", ".tar.zst", ".tzst", ".tar.bz2", ".tbz", ".tar.lz4"}

const wantImagePath = "an absolute path of skyd's computer or an https:// address without a name and a password in " +
	"it, which ends with .tar, .tar.gz or .tar.zst"

// Name is the name of the archive's file on machines.
func (a ImageArchive) Name() string { return path.Base(a.location()) }

// Arch is the architecture in the name of the archive: amd64 or arm64; empty if it has none.
func (a ImageArchive) Arch() string {
	for _, arch := range []string{"amd64", "arm64"} {
		if strings.Contains(a.Name(), "linux-"+arch) {
			return arch
		}
	}
	return ""
}

// IsURL reports whether the archive is downloaded.
func (a ImageArchive) IsURL() bool { return !filepath.IsAbs(a.Path) }

// location is the path of the archive, without a query.
func (a ImageArchive) location() string {
	if u, err := url.Parse(a.Path); err == nil && a.IsURL() {
		return u.Path
	}
	return a.Path
}

func validateImages(images []ImageArchive, errs *fieldErrors) {
	seen := map[string]bool{}
	for _, a := range images {
		field := "rke2.images[" + hidePassword(a.Path) + "]"
		switch {
		case !isImageArchive(a):
			errs.addField("rke2.images.path", hidePassword(a.Path), wantImagePath)
			continue
		case seen[a.Name()]:
			errs.addField("rke2.images.path", a.Path, "each name of a file once: all archives go to one directory")
		case a.SHA256 != "" && !IsSHA256(a.SHA256):
			errs.addField(field+".sha256", a.SHA256, WantSHA256)
		case a.SHA256 == "" && a.IsURL():
			errs.addField(field+".sha256", "", WantSHA256+": nothing else says what is at that address")
		}
		seen[a.Name()] = true
	}
}

func isImageArchive(a ImageArchive) bool {
	if a.IsURL() && (!isMirror(a.Path) || !strings.HasPrefix(a.Path, "https://")) {
		return false
	}
	for _, ending := range imageArchiveEndings {
		if base, has := strings.CutSuffix(a.Name(), ending); has {
			return base != "" && !strings.ContainsFunc(a.Path, isControlCharacter)
		}
	}
	return false
}

const (
	wantCA = "certificates in PEM, as a file such as ca.crt has them"
	// exampleCA is a certificate that signed nothing.
	exampleCA = `-----BEGIN CERTIFICATE-----
MIH8MIGvoAMCAQICAQEwBQYDK2VwMA0xCzAJBgNVBAMTAmNhMCAXDTI2MDEwMTAw
MDAwMFoYDzIxMjYwMTAxMDAwMDAwWjANMQswCQYDVQQDEwJjYTAqMAUGAytlcAMh
ABocp9l5/CE+mwva4r92p4z4St/xEAYKnLWJlN6R7ErnozIwMDAPBgNVHRMBAf8E
BTADAQH/MB0GA1UdDgQWBBS8uxtW1QHWOBl9Si4g/6HlRRhLcDAFBgMrZXADQQCV
d5szduf8tvWq9GIJUt2lUM1KTWEFHOHBfzTeoXcFp/g29+QA8kizVsqfhR09IoOb
GsHhuEg2mjgd2s0UOW4I
-----END CERTIFICATE-----`
)

// normalizeCA removes the white space around certificates.
func normalizeCA(text string) string { return strings.TrimSpace(text) }

// isCertificates reports whether a text consists of certificates, one at least.
func isCertificates(text string) bool {
	rest := []byte(strings.TrimSpace(text))
	for count := 0; ; count++ {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return count > 0 && strings.TrimSpace(string(rest)) == ""
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil || block.Type != "CERTIFICATE" {
			return false
		}
	}
}
