// Package etcdserver runs an etcd in a test's own process. Only tests import it.
package etcdserver

import (
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
)

// AnyPort lets the kernel choose the port; Endpoint tells which one it chose.
const AnyPort = "127.0.0.1:0"

const startTimeout = 2 * time.Minute

// Start starts an etcd that keeps its data in dir and serves clients at an address. The caller closes it.
func Start(dir, address string, settings ...func(*embed.Config)) (*embed.Etcd, error) {
	cfg := embed.NewConfig()
	cfg.Dir = filepath.Join(dir, "etcd")
	cfg.LogLevel = "error"
	cfg.LogOutputs = []string{filepath.Join(dir, "etcd.log")}
	client := url.URL{Scheme: "http", Host: address}
	peer := url.URL{Scheme: "http", Host: AnyPort}
	cfg.ListenClientUrls, cfg.AdvertiseClientUrls = []url.URL{client}, []url.URL{client}
	cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = []url.URL{peer}, []url.URL{peer}
	cfg.InitialCluster = cfg.InitialClusterFromName(cfg.Name)
	cfg.UnsafeNoFsync = true
	for _, set := range settings {
		set(cfg)
	}
	e, err := embed.StartEtcd(cfg)
	if err != nil {
		return nil, err
	}
	select {
	case <-e.Server.ReadyNotify():
		return e, nil
	case <-time.After(startTimeout):
		e.Close()
		return nil, errors.New("etcd was not ready within " + startTimeout.String())
	}
}

// Endpoint is where clients reach it.
func Endpoint(e *embed.Etcd) string { return "http://" + e.Clients[0].Addr().String() }

// Main runs a package's tests with one etcd for all of them, whose endpoint it stores. It is the body of a TestMain.
func Main(m *testing.M, endpoint *string) {
	dir, err := os.MkdirTemp("", "etcdserver-*")
	if err != nil {
		panic(err)
	}
	e, err := Start(dir, AnyPort)
	if err != nil {
		panic(err)
	}
	*endpoint = Endpoint(e)
	code := m.Run()
	e.Close()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}
