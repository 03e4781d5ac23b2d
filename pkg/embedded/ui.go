package embedded

import (
	"context"
	"fmt"
	"net/http"

	uiserver "github.com/temporalio/ui-server/v2/server"
	uiconfig "github.com/temporalio/ui-server/v2/server/config"
	"github.com/temporalio/ui-server/v2/server/server_options"

	"github.com/sky-shift/skyctl/pkg/config"
)

// newUI gives the Web UI, for reading: any user of this machine may open it. It has a certificate of its own, by which
// Temporal would refuse it a write, were it to try one.
func newUI(c *config.Config) *uiserver.Server {
	return uiserver.NewServer(server_options.WithConfigProvider(&uiconfig.Config{
		Host:                config.Loopback,
		Port:                c.Dev.UIPort,
		TemporalGRPCAddress: config.OnLoopback(c.Dev.TemporalPort),
		DefaultNamespace:    c.Temporal.Namespace,
		EnableUI:            true,
		HideLogs:            true,
		DisableNewsFetch:    true,
		DisableWriteActions: true,
		CORS:                uiconfig.CORS{CookieInsecure: true}, // it is plain HTTP, on loopback
		TLS: uiconfig.TLS{
			CaFile:                 c.PKIFile("ca.crt"),
			CertFile:               c.PKIFile("ui.crt"),
			KeyFile:                c.PKIFile("ui.key"),
			EnableHostVerification: true,
			ServerName:             "localhost",
		},
	}))
}

// uiReady waits until the UI answers: it says nothing by itself.
func uiReady(ctx context.Context, c *config.Config) error {
	err := poll(ctx, func() error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+config.OnLoopback(c.Dev.UIPort)+"/healthz", nil)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		return resp.Body.Close()
	})
	if err != nil {
		return fmt.Errorf("starting the Web UI: %w", err)
	}
	return nil
}
