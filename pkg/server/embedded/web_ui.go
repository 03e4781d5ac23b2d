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

// uiHeaderTimeout bounds how long a browser may take to send the headers of a request.
const uiHeaderTimeout = 30 * time.Second

// newUIServer returns a read-only Web UI, because any user of this computer can open it. Temporal rejects writes with
// its certificate. It is built from the parts of Temporal's own UI server, which accepts any Host header and cannot be
// configured otherwise.
func newUIServer(c *config.Config) (*http.Server, error) {
	provider, err := uiconfig.NewConfigProviderWithRefresh(uiConfig(c))
	if err != nil {
		return nil, fmt.Errorf("starting the Web UI: %w", err)
	}
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.Use(middleware.Recover(), middleware.Gzip(), middleware.Secure(),
		// plain HTTP, on loopback
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
		Addr: config.LoopbackAddress(c.Dev.UIPort), ReadHeaderTimeout: uiHeaderTimeout,
		Handler: loopbackOnly(showOperationsFirst(c.Temporal.Namespace, e)),
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

// serveUI serves until the server is closed. It is an error if the port is no longer free.
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

// awaitUIReady polls the UI until it answers: it has no ready signal.
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

// directClient connects without a proxy, even if one is configured.
var directClient = &http.Client{Transport: &http.Transport{}}
