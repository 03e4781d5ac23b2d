package embedded

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
	"github.com/temporalio/ui-server/v2/server/api"
	uiconfig "github.com/temporalio/ui-server/v2/server/config"
	"github.com/temporalio/ui-server/v2/server/csrf"
	"github.com/temporalio/ui-server/v2/server/headers"
	"github.com/temporalio/ui-server/v2/server/route"
	"github.com/temporalio/ui-server/v2/ui"

	"github.com/sky-shift/skyctl/pkg/await"
	"github.com/sky-shift/skyctl/pkg/config"
)

// uiHeaderTimeout bounds how long a browser may take to say what it wants.
const uiHeaderTimeout = 30 * time.Second

// newUIServer gives the Web UI, for reading: any user of this machine may open it. It has a certificate of its own, by
// which Temporal would refuse it a write, were it to try one. It is put together from the parts of Temporal's own
// server, which would answer under any name and leaves no place to ask for one.
func newUIServer(c *config.Config) (*http.Server, error) {
	provider, err := uiconfig.NewConfigProviderWithRefresh(uiConfig(c))
	if err != nil {
		return nil, fmt.Errorf("starting the Web UI: %w", err)
	}
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.Use(middleware.Recover(), middleware.Gzip(), middleware.Secure(),
		// it is plain HTTP, on loopback
		csrf.EnsureTokenCookie(false), middleware.CSRFWithConfig(csrf.MiddlewareConfig(provider, false)))
	route.SetHealthRoute(e)
	if err := route.SetAPIRoutes(e, provider,
		[]api.Middleware{headers.WithForwardHeaders([]string{"Caller-Type"})}); err != nil {
		return nil, fmt.Errorf("starting the Web UI: %w", err)
	}
	route.SetAuthRoutes(e, provider)
	all, err := ui.Assets()
	if err != nil {
		return nil, fmt.Errorf("starting the Web UI: %w", err)
	}
	assets, err := fs.Sub(all, "local")
	if err != nil {
		return nil, fmt.Errorf("starting the Web UI: %w", err)
	}
	route.SetUIRoutes(e, "", assets, provider)
	route.SetRenderRoute(e, "/")
	return &http.Server{
		Addr: config.LoopbackAddress(c.Dev.UIPort), Handler: loopbackOnly(e), ReadHeaderTimeout: uiHeaderTimeout,
	}, nil
}

func uiConfig(c *config.Config) *uiconfig.Config {
	return &uiconfig.Config{
		Host:                config.Loopback,
		Port:                c.Dev.UIPort,
		TemporalGRPCAddress: config.LoopbackAddress(c.Dev.TemporalPort),
		DefaultNamespace:    c.Temporal.Namespace,
		EnableUI:            true,
		HideLogs:            true,
		DisableNewsFetch:    true,
		DisableWriteActions: true,
		CORS:                uiconfig.CORS{CookieInsecure: true},
		TLS: uiconfig.TLS{
			CaFile:                 c.PKIFile("ca.crt"),
			CertFile:               c.PKIFile("ui.crt"),
			KeyFile:                c.PKIFile("ui.key"),
			EnableHostVerification: true,
			ServerName:             "localhost",
		},
	}
}

// serveUI serves until the server is closed. The port was seen to be free; that it is not any more is an error.
func serveUI(ctx context.Context, s *http.Server) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.Addr)
	if err != nil {
		return fmt.Errorf("starting the Web UI: %w", err)
	}
	go func() {
		if err := s.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			_ = listener.Close()
		}
	}()
	return nil
}

// awaitUIReady waits until the UI answers: it says nothing by itself.
func awaitUIReady(ctx context.Context, c *config.Config) error {
	err := await.Success(ctx, pollInterval, func() error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+config.LoopbackAddress(c.Dev.UIPort)+
			"/healthz", nil)
		if err != nil {
			return err
		}
		resp, err := directClient.Do(req)
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

// directClient asks this machine itself, whatever proxy is set.
var directClient = &http.Client{Transport: &http.Transport{}}
