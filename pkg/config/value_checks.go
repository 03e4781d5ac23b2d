package config

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/lazyregexp"
)

var (
	namePattern   = lazyregexp.New(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$`)
	prefixPattern = lazyregexp.New(`^(/[A-Za-z0-9_.-]+)+$`)
	imagePattern  = lazyregexp.New(`^[a-z0-9][a-z0-9._/:@-]{0,254}$`)
)

func checkPattern(pattern *lazyregexp.Regexp, v, expected string) error {
	if !pattern.MatchString(v) {
		return errors.New(expected)
	}
	return nil
}

func checkNotEmpty(v string) error {
	if strings.TrimSpace(v) == "" {
		return errors.New("set a value or remove the setting")
	}
	return nil
}

func checkName(v string) error {
	return checkPattern(namePattern, v, "1 to 63 letters, digits, '-', '_' or '.', starting with a letter or digit, "+
		"such as skyctl")
}

func checkPrefix(v string) error {
	return checkPattern(prefixPattern, v, "a path that starts with '/' and does not end with '/', such as /skyctl")
}

func checkImage(v string) error {
	return checkPattern(imagePattern, v, "an image name in lower case, such as debian:12")
}

func checkRKE2Version(v string) error {
	if !api.IsKubernetesVersion(v) {
		return errors.New(api.WantKubernetesVersion)
	}
	return nil
}

func checkSHA256(v string) error {
	if !api.IsSHA256(v) {
		return errors.New(api.WantSHA256)
	}
	return nil
}

func checkRKE2Source(v string) error {
	switch {
	case v == RKE2Release, filepath.IsAbs(v):
		return nil
	case strings.HasPrefix(v, "https://"), strings.HasPrefix(v, "http://"):
		u, err := url.Parse(v)
		if err == nil && u.User != nil {
			return errors.New("an address without a name and a password: it is stored with each cluster and displayed")
		}
		if err == nil && u.Host != "" {
			return nil
		}
	}
	return errors.New(`"release", the https:// address of a mirror, or an absolute directory`)
}

func checkURL(v string) error {
	u, err := url.Parse(v)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return errors.New("an address such as http://temporal.example.com:8080")
	}
	return nil
}

func checkHostPort(v string) error {
	host, p, err := net.SplitHostPort(v)
	if err == nil && host != "" && !strings.Contains(host, "/") {
		_, err = parsePort(p)
	}
	if err != nil || host == "" || strings.Contains(host, "/") {
		return errors.New("host:port without a scheme, such as temporal.example.com:7233")
	}
	return nil
}

func parsePort(v string) (int, error) {
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 || n > 65535 {
		return 0, errors.New("a port from 1 to 65535")
	}
	return n, nil
}

func parseEndpoints(v string) ([]string, error) {
	var endpoints []string
	for _, e := range strings.Split(v, ",") {
		e = strings.TrimSpace(e)
		u, err := url.Parse(e)
		if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Path != "" || checkHostPort(u.Host) != nil {
			return nil, fmt.Errorf("endpoint %q must be http://host:port or https://host:port", e)
		}
		endpoints = append(endpoints, e)
	}
	return endpoints, nil
}
